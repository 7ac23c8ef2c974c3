"""Checks of the runs: the log, the launch journal, who guards what, and what waits for a person."""

from __future__ import annotations

from collections.abc import Sequence

from console.app import engine_settings
from console.doctor.runner import Area, Check, Level, Results, Subject
from console.domain.fact_text import author_text
from console.domain.formatting import counted
from console.domain.run import Run, State
from console.domain.task import Stage
from console.domain.text import sanitize
from console.domain.timestamps import iso_ms
from console.engine.housekeeping import BASELINE
from console.engine.kernel_locks import KernelLocks
from console.engine.models import LAUNCHING
from console.engine.problems import problems_path, read_published
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
        newest = found.last_ev
        accepted_ev = found.accepted_loss.ev
    if last > max(newest, accepted_ev):
        yield (
            Level.FAIL,
            f"the log holds event {last}, the database only {newest}: it is older than its log and lacks runs",
        )
    troubles = [
        f"{sum(end - begin + 1 for begin, end in gaps)} lines are missing" if gaps else "",
        f"{foreign} lines are torn or foreign" if foreign else "",
        f"{duplicates} lines are duplicates" if duplicates else "",
        f"{newest - last} events wait to be written" if newest > last else "",
    ]
    if message := ", ".join(filter(None, troubles)):
        yield Level.WARN, f"runs.log: {message}; `nightdesk log rebuild` rebuilds it"
    else:
        yield Level.OK, f"runs.log: {counted(count, 'line')}, complete"


def launches(subject: Subject) -> Results:
    """Check that every id that a launch returned has its run."""
    received = LaunchJournal(subject.folder / "launch.journal").read()
    if not received and not (subject.folder / DATABASE).exists():
        return
    with inspect_database(subject.folder) as found:
        accepted = found.accepted_loss.run_ids
        received = {run_id: remote_id for run_id, remote_id in received.items() if run_id not in accepted}
        unknown, unlinked = found.unknown(received), found.without_remote(received)
    if unknown:
        message = f"{len(unknown)} launched runs are not in the database, which is older than launch.journal"
        yield Level.FAIL, f"{message}: {_named(unknown)}"
    if left := [run_id for run_id in unlinked if run_id not in unknown]:
        yield Level.WARN, f"{len(left)} runs without a remote id have one in the journal: {_named(left)}"
    if not unknown and not unlinked:
        yield Level.OK, f"launch.journal: {counted(len(received), 'id')}, each with its run"


def owners(subject: Subject) -> Results:
    """Report which processes are alive, by their kernel locks."""
    with inspect_database(subject.folder) as found:
        rows = found.owners
    ownership = KernelLocks(subject.folder)
    alive = [row for row in rows if ownership.is_alive(row.id)]
    for row in alive:
        silent_ms = subject.now.wall_ms - row.beat_ms
        if silent_ms > STUCK_MS:
            silent = f"{silent_ms // 1000} s"
            message = f"{sanitize(row.kind)} process {row.pid} holds its lock but sent no heartbeat for {silent}"
            yield Level.WARN, f"{message}; other processes cancel its overdue runs"
    named = ", ".join(f"{sanitize(row.kind)} (pid {row.pid})" for row in alive)
    dead = len(rows) - len(alive)
    message = f"alive: {named}" if named else "no Nightdesk process is running"
    yield Level.OK, message + (f"; {dead} died, the next process takes over their runs" if dead else "")


def problems(subject: Subject) -> Results:
    """Report what the living processes say does not work, and which of them judge by another config."""
    with inspect_database(subject.folder) as found:
        rows = found.owners
    now_ms, message = subject.now.wall_ms, False
    here = engine_settings(subject.settings, ProcessKind.COMMAND).fingerprint if subject.settings else ""
    ownership = KernelLocks(subject.folder)
    for row in rows:
        if not ownership.is_alive(row.id):
            continue
        published = read_published(problems_path(subject.folder, row.id))
        for problem in published.problems:
            message = True
            yield Level.OK if problem.over_ms is not None else Level.WARN, problem.line(now_ms)
        if here and row.kind in LAUNCHING and published.config not in ("", here):
            message = True
            yield Level.WARN, f"{sanitize(row.kind)} process {row.pid} uses another version of the config"
    if not message:
        yield Level.OK, "no living process reports one"


def scheduler(subject: Subject) -> Results:
    """Check that a process launches what is due."""
    scheduled = [task.name for task in subject.settings.tasks if task.schedule] if subject.settings else []
    with inspect_database(subject.folder) as found:
        rows, stages = {row.id: row for row in found.owners}, found.stages
    # At stage manual a scheduled launch is refused, so nothing is missed.
    wanted = [name for name in scheduled if stages.get(name, Stage.MANUAL) is not Stage.MANUAL]
    ownership = KernelLocks(subject.folder)
    row = rows.get(ownership.scheduler() or "")
    if row is not None and ownership.is_alive(row.id):
        yield Level.OK, f"{sanitize(row.kind)} process {row.pid} launches what is due"
    elif wanted:
        message = f"no process launches {counted(len(wanted), 'scheduled task')}"
        console = subject.settings is not None and subject.settings.console_schedules
        instead = (
            ", or keep the console open" if console else "; a console does not schedule ([scheduler] console = false)"
        )
        yield Level.WARN, f"{message}; start `nightdesk serve`{instead}"
    else:
        why = "every scheduled task is at stage manual" if scheduled else "no task has a schedule"
        yield Level.OK, f"no process, and {why}"


def runs(subject: Subject) -> Results:
    """Report what waits for a person or for a guard."""
    with inspect_database(subject.folder) as found:
        live, pause = found.open_runs, found.pause
        rows = found.owners
    if pause is not None:
        yield (
            Level.WARN,
            f"launches are paused by {sanitize(author_text(pause[0]))} since {iso_ms(pause[1])}; `nightdesk resume`",
        )
    unconfirmed = [run.id for run in live if run.state is State.UNCONFIRMED]
    if unconfirmed:
        message = f"{len(unconfirmed)} unconfirmed, whose keys and holds stay until somebody resolves them"
        yield Level.WARN, f"{message} (`nightdesk help settle`): {_named(unconfirmed)}"
    unproven = [run.id for run in live if run.stop is not None and run.state is not State.UNCONFIRMED]
    if unproven:
        yield Level.WARN, f"{counted(len(unproven), 'stop')} not confirmed yet: {_named(unproven)}"
    ownership = KernelLocks(subject.folder)
    known = {row.id for row in rows if ownership.is_alive(row.id)}
    if alone := [run.id for run in live if _needs_an_owner(run) and run.owner not in known]:
        message = f"{len(alone)} live runs have no living supervisor; any `nightdesk`, `serve` or `run` takes them over"
        yield Level.WARN, f"{message}: {_named(alone)}"
    yield Level.OK, f"{len(live)} not ended, {sum(run.state is State.PROPOSED for run in live)} of them proposed"


def _needs_an_owner(run: Run) -> bool:
    return run.state not in (State.PROPOSED, State.UNCONFIRMED)


def clock(subject: Subject) -> Results:
    """Check that the wall clock has not stepped since it was last read."""
    with inspect_database(subject.folder) as found:
        baseline = found.meta(BASELINE)
    boot_id, _, text = (baseline or "").partition(" ")
    if boot_id != subject.now.boot_id:
        yield Level.OK, "not compared since this machine started" if baseline else "not compared yet"
        return
    step = subject.now.wall_ms - subject.now.boot_ms - int(text)
    if abs(step) >= PACING.clock_note_ms:
        yield (
            Level.WARN,
            f"the wall clock stepped by {step / 1000:+.1f} s; one of five minutes pauses launches",
        )
    else:
        yield Level.OK, f"wall clock and boot clock agree (to {abs(step) / 1000:.1f} s)"


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
