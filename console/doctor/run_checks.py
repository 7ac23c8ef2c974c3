"""Checks of the runs: the log, the launch journal, who guards what, and what waits for a person."""

from __future__ import annotations

from collections.abc import Sequence

from console.app import engine_settings
from console.doctor.runner import Area, Check, Level, Results, Subject
from console.domain.run import Run, State
from console.domain.text import sanitize
from console.domain.timestamps import iso_ms
from console.engine.housekeeping import BASELINE
from console.engine.ownership import SchedulerLock, is_alive, problems_path
from console.engine.problems import read_published
from console.engine.queries import LAUNCHING
from console.engine.settings import ProcessKind, Timings
from console.journal.launch_journal import LaunchJournal
from console.journal.log_reader import LogReader
from console.store.diagnostics import inspect_database, latest_schema
from console.store.files import DATABASE

PACING = Timings()
STUCK_MS = 6 * PACING.beat_ms
"""An owner without a heartbeat for this long is stopped or hung."""
MAX_NAMED = 5
"""Runs named in one line."""


def log(subject: Subject) -> Results:
    """Check that the log has one line for every event."""
    # The file first: what is written meanwhile is then in the database in any subject.
    with LogReader(subject.folder / "runs.log") as reader:
        last, count = 0, 0
        for line in reader.read():
            last, count = max(last, line.record.ev), count + 1
        gaps, foreign, duplicates = reader.gaps, reader.foreign, reader.duplicates
    if count == foreign == 0 and not (subject.folder / DATABASE).exists():
        return
    with inspect_database(subject.folder) as found:
        newest, unlogged = found.last_ev, found.unlogged
        accepted_ev, _ = found.accepted_loss
    if last > max(newest, accepted_ev):
        yield (
            Level.FAIL,
            f"the log knows event {last}, the database only {newest}: it is older than its log and forgot runs",
        )
    troubles = [
        f"{sum(end - begin + 1 for begin, end in gaps)} lines are missing" if gaps else "",
        f"{newest - last} lines are missing at its end" if newest - last > unlogged else "",
        f"{foreign} lines are torn or foreign" if foreign else "",
        f"{duplicates} lines are doubled" if duplicates else "",
        f"{unlogged} events wait to be written" if unlogged else "",
    ]
    if told := ", ".join(filter(None, troubles)):
        yield Level.WARN, f"runs.log: {told}; `nightdesk log rebuild` writes it anew"
    else:
        yield Level.OK, f"runs.log: {count} lines, no gap, all of the database's"


def launches(subject: Subject) -> Results:
    """Check that every id that a launch returned has its run."""
    received = LaunchJournal(subject.folder / "launch.journal").read()
    if not received and not (subject.folder / DATABASE).exists():
        return
    with inspect_database(subject.folder) as found:
        _, accepted = found.accepted_loss
        received = {run_id: remote_id for run_id, remote_id in received.items() if run_id not in accepted}
        unknown, unlinked = found.unknown(received), found.without_remote(received)
    if unknown:
        told = f"{len(unknown)} launched runs are not in the database, which is older than the journal"
        yield Level.FAIL, f"{told}: {_named(unknown)}"
    if left := [run_id for run_id in unlinked if run_id not in unknown]:
        yield Level.WARN, f"{len(left)} runs without a remote id have one in the journal: {_named(left)}"
    if not unknown and not unlinked:
        yield Level.OK, f"launch.journal: {len(received)} ids, each with its run"


def owners(subject: Subject) -> Results:
    """Report which processes are alive, by their kernel locks."""
    with inspect_database(subject.folder) as found:
        rows = found.owners
    alive = [row for row in rows if is_alive(subject.folder / "owners", row.id)]
    for row in alive:
        silent = subject.now.wall_ms - row.beat_ms
        if silent > STUCK_MS:
            told = f"{sanitize(row.kind)} process {row.pid} holds its lock but was not heard for {silent // 1000} s"
            yield Level.WARN, f"{told}; its overdue runs are cancelled by any other process"
    named = ", ".join(f"{sanitize(row.kind)} (pid {row.pid})" for row in alive) or "nobody"
    dead = len(rows) - len(alive)
    yield Level.OK, f"alive: {named}" + (f"; {dead} died, their runs go to whoever looks next" if dead else "")


def problems(subject: Subject) -> Results:
    """Report what the living processes say does not work, and which of them judge by another config."""
    with inspect_database(subject.folder) as found:
        rows = found.owners
    now_ms, told = subject.now.wall_ms, False
    here = engine_settings(subject.settings, ProcessKind.COMMAND).fingerprint if subject.settings else ""
    for row in rows:
        folder = subject.folder / "owners"
        if not is_alive(folder, row.id):
            continue
        published = read_published(problems_path(folder, row.id))
        for problem in published.problems:
            told = True
            yield Level.OK if problem.over_ms is not None else Level.WARN, problem.line(now_ms)
        if here and row.kind in LAUNCHING and published.config not in ("", here):
            told = True
            yield Level.WARN, f"{sanitize(row.kind)} process {row.pid} judges launches by another version of the config"
    if not told:
        yield Level.OK, "no living process reports one"


def scheduler(subject: Subject) -> Results:
    """Check that a process launches what is due."""
    wanted = [task.name for task in subject.settings.tasks if task.schedule] if subject.settings else []
    with inspect_database(subject.folder) as found:
        rows = {row.id: row for row in found.owners}
    row = rows.get(SchedulerLock(subject.folder).holder() or "")
    if row is not None and is_alive(subject.folder / "owners", row.id):
        yield Level.OK, f"{sanitize(row.kind)} process {row.pid} launches what is due"
    elif wanted:
        told = f"nobody launches {len(wanted)} scheduled task{'s' * (len(wanted) > 1)}"
        yield Level.WARN, f"{told}; start `nightdesk serve`, or keep the console open"
    else:
        yield Level.OK, "nobody, and no task has a schedule"


def runs(subject: Subject) -> Results:
    """Report what waits for a person or for a guard."""
    with inspect_database(subject.folder) as found:
        live, pause = found.open_runs, found.pause
        rows = found.owners
    if pause is not None:
        yield Level.WARN, f"launches are paused by {sanitize(pause[0])} since {iso_ms(pause[1])}; `nightdesk resume`"
    unconfirmed = [run.id for run in live if run.state is State.UNCONFIRMED]
    if unconfirmed:
        told = f"{len(unconfirmed)} unconfirmed, key and hold stay until `nightdesk settle`"
        yield Level.WARN, f"{told}: {_named(unconfirmed)}"
    unproven = [run.id for run in live if run.stop is not None and run.state is not State.UNCONFIRMED]
    if unproven:
        yield Level.WARN, f"{len(unproven)} stops asked for and not proven yet: {_named(unproven)}"
    known = {row.id for row in rows if is_alive(subject.folder / "owners", row.id)}
    if alone := [run.id for run in live if _needs_an_owner(run) and run.owner not in known]:
        told = f"{len(alone)} live runs have no living guard; `nightdesk`, `serve` or any `run` takes them"
        yield Level.WARN, f"{told}: {_named(alone)}"
    yield Level.OK, f"{len(live)} not ended, {sum(run.state is State.PROPOSED for run in live)} of them proposed"


def _needs_an_owner(run: Run) -> bool:
    return run.state not in (State.PROPOSED, State.UNCONFIRMED)


def clock(subject: Subject) -> Results:
    """Check that the wall clock has not stepped since it was last read."""
    with inspect_database(subject.folder) as found:
        baseline = found.meta(BASELINE)
    boot_id, _, text = (baseline or "").partition(" ")
    if boot_id != subject.now.boot_id:
        yield Level.OK, "not compared yet since this machine started" if baseline else "never compared yet"
        return
    step = subject.now.wall_ms - subject.now.boot_ms - int(text)
    if abs(step) >= PACING.clock_note_ms:
        yield Level.WARN, f"the wall clock stepped by {step / 1000:+.1f} s; a step of five minutes pauses all launches"
    else:
        yield Level.OK, f"wall and boot clock run alike (to {abs(step) / 1000:.1f} s)"


def _named(run_ids: Sequence[str]) -> str:
    more = f" and {len(run_ids) - MAX_NAMED} more" if len(run_ids) > MAX_NAMED else ""
    return ", ".join(run_ids[:MAX_NAMED]) + more


def _on_a_store(check: Check) -> Check:
    """Return the same check, silent if there is no database that this program can read, which others report."""

    def run(subject: Subject) -> Results:
        if _readable(subject):
            yield from check.run(subject)

    return Check(name=check.name, area=check.area, run=run)


def _readable(subject: Subject) -> bool:
    if not (subject.folder / DATABASE).exists():
        return False
    with inspect_database(subject.folder) as found:
        return 0 < found.schema <= latest_schema()


_ALWAYS = tuple(Check(name=run.__name__, area=Area.STORE, run=run) for run in (log, launches))
_WITH_A_STORE = tuple(
    Check(name=run.__name__, area=Area.STORE, run=run) for run in (owners, problems, scheduler, runs, clock)
)
WORK_CHECKS = (*_ALWAYS, *map(_on_a_store, _WITH_A_STORE))
