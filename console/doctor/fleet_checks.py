"""Checks of a database of several hosts, in place of those of the database in the state folder."""

from __future__ import annotations

from pathlib import Path

from console.doctor.runner import Area, Check, Level, Results, Subject
from console.doctor.store_checks import folder
from console.domain.fact_text import author_text
from console.domain.formatting import counted
from console.domain.policy import SCHEDULES, policy_of
from console.domain.text import sanitize
from console.journal.log_reader import LogReader
from console.store.errors import StoreError
from console.store.fleet_settings import FleetSettings, missing_driver

SKEW_WARN_MS = 1_000
SKEW_FAIL_MS = 5_000
"""Beyond this, scheduled launches of cron on this host are refused."""
SLOW_MS = 50.0
"""A claim takes eight round trips behind one gate for all hosts."""


def database(subject: Subject) -> Results:
    """Check that the database answers over a safe line, in time, by a clock like this one."""
    from console.store.postgres.status import read_status

    fleet = _fleet_of(subject)
    if (trouble := missing_driver()) is not None:
        yield Level.FAIL, trouble
        return
    status = read_status(fleet)
    slow = status.round_trip_ms > SLOW_MS
    line = f"PostgreSQL {status.server} at {status.place}, {status.round_trip_ms:.1f} ms away"
    yield (Level.WARN if slow else Level.OK), line + ("; every launch waits eight times as long" if slow else "")
    yield Level.OK, f"the connection is encrypted ({status.tls})" if status.tls else "the connection stays on this host"
    behind = abs(status.offset_ms)
    words = f"the clock of this host is {behind} ms {'behind' if status.offset_ms > 0 else 'ahead of'} the database's"
    if behind > SKEW_FAIL_MS:
        yield Level.FAIL, f"{words}; scheduled launches are refused here: set it"
    else:
        yield (Level.WARN if behind > SKEW_WARN_MS else Level.OK), words
    for setting in status.unsafe:
        yield Level.FAIL, f"the server has {setting} off: it can lose launches that it has acknowledged"
    if not status.unsafe:
        yield Level.OK, "the server keeps what it acknowledges; whether its standbys do, their settings say"


def role(subject: Subject) -> Results:
    """Check that the role of the config may do what an engine does, and no more."""
    from console.store.postgres.status import read_status

    status = read_status(_fleet_of(subject))
    if status.owns_schema:
        yield (
            Level.WARN,
            f"{status.role} owns the schema, so it could delete runs; `nightdesk store grant` makes another",
        )
    elif status.may_write:
        yield Level.OK, f"{status.role} may launch, and delete no run"
    else:
        yield Level.WARN, f"{status.role} may only read: read-only consoles work, launches do not"
    if status.version != status.latest:
        words = f"the store is of version {status.version}, this program makes {status.latest}"
        yield Level.FAIL, f"{words}; `nightdesk store migrate` upgrades it, or a newer program reads it"
    else:
        yield Level.OK, f"store {status.store_id[:8]} of version {status.version}, the current one"


def hosts(subject: Subject) -> Results:
    """Report which processes of which hosts are alive, and who schedules."""
    from console.store.postgres.status import read_status

    status = read_status(_fleet_of(subject))
    alive = [each for each in status.processes if each.is_alive]
    named = ", ".join(f"{each.kind} {each.pid} on {each.host}" for each in alive)
    yield Level.OK, f"alive: {named}" if named else "no process of any host is alive"
    if dead := len(status.processes) - len(alive):
        yield (
            Level.OK,
            f"the leases of {counted(dead, 'process', 'processes')} are over; the others take their runs over",
        )
    versions = sorted({each.version for each in alive if each.version})
    if len(versions) > 1:
        yield Level.WARN, f"hosts run different versions: {', '.join(versions)}"
    yield Level.OK, f"{status.scheduler} schedules" if status.scheduler else "no host schedules"


def policy(subject: Subject) -> Results:
    """Check that this host judges launches as the fleet does, so that its own are not refused."""
    from console.store.postgres.peek import policy_of_fleet

    stored, settings = policy_of_fleet(_fleet_of(subject)), subject.settings
    assert settings is not None, "it names the database"
    if stored is None:
        yield Level.OK, "no host has launched yet: the first launch makes the policy of its host the fleet's"
        return
    here = policy_of(settings.caps, settings.units, settings.rollout, settings.tasks)
    differences = here.differences(stored.policy)
    for each in differences:
        refused = "launches on schedule are refused here" if each.key == SCHEDULES else "launches are refused here"
        yield Level.FAIL, f"{each.sentence}; {refused}: nightdesk store policy shows both"
    if not differences:
        origin = f"stored by {author_text(stored.by)} on {stored.host or 'an unnamed host'}: {stored.reason}"
        yield Level.OK, sanitize(f"caps, units, rollout and schedules are those of the fleet, {origin}", limit=300)


def log(subject: Subject) -> Results:
    """Check that the log of this host is no further than the database, which would have lost lines."""
    from console.store.postgres.peek import last_ev_of_fleet

    # The file first: what is written meanwhile is then in the database in any case.
    last = _last_line(subject.folder)
    newest = last_ev_of_fleet(_fleet_of(subject))
    if last > newest:
        yield Level.FAIL, f"the database went back: line {last} of this host's log is not in it, its newest is {newest}"
    elif last < newest:
        yield Level.OK, f"{counted(newest - last, 'line')} of other hosts wait to be written to this host's log"
    else:
        yield Level.OK, f"runs.log holds all {counted(newest, 'line')}"


def _last_line(place: Path) -> int:
    with LogReader(place / "runs.log") as reader:
        return max((line.record.ev for line in reader.read()), default=0)


def _fleet_of(subject: Subject) -> FleetSettings:
    fleet = subject.settings.store.fleet if subject.settings is not None else None
    if fleet is None:
        raise StoreError("the config names no database")
    return fleet


FLEET_CHECKS = tuple(
    Check(name=run.__name__, area=Area.STORE, run=run) for run in (folder, database, role, hosts, policy, log)
)
