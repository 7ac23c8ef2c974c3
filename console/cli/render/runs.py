"""Runs as text: table rows for `ps` and `history`, and progress lines for a command that waits for a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from console.cli.render.launch_json import elapsed_ms
from console.cli.render.table import Cell, Column, Tone
from console.domain.caps import UNIT_CAPS, CapUsage
from console.domain.fact_text import author_text, words_of
from console.domain.formatting import (
    format_countdown,
    format_duration,
    format_elapsed,
    format_units,
    format_when,
    zone_name,
    zone_or_utc,
)
from console.domain.run import NON_RUN_OUTCOMES, Outcome, Run, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.engine.models import Snapshot

PROVIDER = Column(title="PROVIDER")
"""Shown where the config has more than one."""
HOST = Column(title="HOST")
"""Shown where runs are of several hosts."""
LIVE_COLUMNS = (
    Column(title="STATE"),
    Column(title="TASK", shrink_order=2),
    PROVIDER,
    HOST,
    Column(title="RUN"),
    Column(title="LEFT", right=True),
    Column(title="ELAPSED", right=True),
    Column(title="UNITS", right=True),
    Column(title="STAGE"),
    Column(title="LAST STEP", shrink_order=3),
)
WHEN = "WHEN"
PAST_COLUMNS = (
    Column(title=WHEN),
    Column(title="OUTCOME"),
    Column(title="TASK", shrink_order=2),
    PROVIDER,
    HOST,
    Column(title="RUN"),
    Column(title="TRY", right=True),
    Column(title="DATE"),
    Column(title="ELAPSED", right=True),
    Column(title="UNITS", right=True),
    Column(title="NOTE", shrink_order=3),
)

_STATE_TONES = {
    State.PROPOSED: Tone.WATCH,
    State.STOPPING: Tone.WATCH,
    State.UNCONFIRMED: Tone.BAD,
    State.RUNNING: Tone.GOOD,
}
_OUTCOME_TONES = {
    Outcome.OK: Tone.GOOD,
    Outcome.SKIPPED: Tone.FAINT,
    Outcome.DECLINED: Tone.FAINT,
    Outcome.EXPIRED: Tone.FAINT,
}


def live_rows(runs: Sequence[Run], now: Timestamp) -> list[list[Cell]]:
    """Return one row per open run, in the order given."""
    return [
        [
            Cell(run.state.value, _STATE_TONES.get(run.state, Tone.PLAIN)),
            Cell(_task(run)),
            Cell(run.fingerprint.provider),
            Cell(run.host or "-"),
            Cell(short_id(run.id)),
            Cell(time_left(run, now.wall_ms)),
            Cell(format_elapsed(elapsed_ms(run, now)) if run.sent else ""),
            Cell(f"{format_units(run.used)}/{format_units(run.limits.budget)}"),
            Cell(run.stage.label),
            Cell(run.trouble or run.last_step or run.note),
        ]
        for run in runs
    ]


def past_columns(now: Timestamp, time_zone: str) -> tuple[Column, ...]:
    """Return the columns of the history; the first one names the zone of its times, `WHEN CET`."""
    zone = zone_name(now.wall_ms, zone_or_utc(time_zone))
    return tuple(replace(column, title=f"{WHEN} {zone}") if column.title == WHEN else column for column in PAST_COLUMNS)


def past_rows(runs: Sequence[Run], now: Timestamp, time_zone: str) -> list[list[Cell]]:
    """Return one row per entry of the history, in the order given; times are of `time_zone`."""
    zone = zone_or_utc(time_zone)
    return [
        [
            Cell(format_when(run.ended_ms or run.created_ms, now.wall_ms, zone)),
            Cell(outcome_text(run), outcome_tone(run)),
            Cell(_task(run)),
            Cell(run.fingerprint.provider),
            Cell(run.host or "-"),
            Cell(short_id(run.id)),
            Cell(str(run.attempt) if run.attempt else "-"),
            Cell(run.date),
            Cell(format_elapsed(elapsed_ms(run, now)) if run.sent else "-"),
            Cell("-" if run.outcome in NON_RUN_OUTCOMES else format_units(run.used)),
            Cell(run.note),
        ]
        for run in runs
    ]


def needed_columns(
    columns: Sequence[Column], rows: Sequence[list[Cell]], runs: Sequence[Run], *, several_providers: bool
) -> tuple[list[Column], list[list[Cell]]]:
    """Return a table of `runs` without a column that says nothing: that of the one provider, that of no host."""
    needless = [*([] if several_providers else [PROVIDER]), *([] if any(run.host for run in runs) else [HOST])]
    kept = [at for at, column in enumerate(columns) if column not in needless]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def outcome_text(run: Run) -> str:
    """Return the outcome, or the state of a run that has none yet."""
    return run.outcome_words or run.state.value


def outcome_tone(run: Run) -> Tone:
    """Return the colour of the outcome or the state."""
    if run.outcome is None:
        return _STATE_TONES.get(run.state, Tone.PLAIN)
    return _OUTCOME_TONES.get(run.outcome, Tone.BAD)


def _task(run: Run) -> str:
    return run.task if run.target == run.task else f"{run.task} {run.target}"


def cap_usage_line(cap_usage: CapUsage) -> str:
    """Format one cap: `daily_units: 50.0 held + 38.2 spent of 2000.0`."""

    def amount(value: int) -> str:
        return units_text(value) if cap_usage.cap in UNIT_CAPS else str(value)

    limit = "unlimited" if cap_usage.limit is None else amount(cap_usage.limit)
    return f"{cap_usage.cap}: {amount(cap_usage.held)} held + {amount(cap_usage.spent)} spent of {limit}"


def head_lines(snapshot: Snapshot, *, has_caps: bool) -> list[str]:
    """Return the lines above the table of `ps`; `has_caps` says whether the caps are known."""
    lines = [cap_usage_line(cap_usage) for cap_usage in snapshot.cap_usages] if has_caps else []
    if snapshot.paused:
        lines.append(f"PAUSED by {author_text(snapshot.paused.by)}: run `nightdesk resume` to allow launches")
    if has_caps and snapshot.nobody_schedules and snapshot.next_launch is not None:
        zone, ahead = zone_or_utc(snapshot.time_zone), snapshot.next_launch
        at = f"{format_when(ahead.at_ms, snapshot.taken.wall_ms, zone)} {zone_name(ahead.at_ms, zone)}"
        lines.append(f"NOBODY SCHEDULES: {ahead.task} is due {at} and will be missed; `nightdesk serve` schedules")
    return [*lines, *(problem.line(snapshot.taken.wall_ms) for problem in snapshot.problems)]


QUARTERS = (25, 50, 75, 90)
"""Passing one of these percentages of the budget is reported."""


def short_id(run_id: str) -> str:
    """Return the beginning of a run id that is enough to type."""
    return run_id[:12]


def progress_key(run: Run) -> tuple[object, ...]:
    """Return what a progress line depends on, so that the same line is not printed twice."""
    share = run.used * 100 // max(1, run.limits.budget)
    passed = sum(share >= quarter for quarter in QUARTERS)
    stop = run.stop.reason if run.stop else None
    alarmed = run.stop is not None and run.stop.alarmed
    return (run.state, run.outcome, stop, alarmed, run.stalled, bool(run.trouble), run.remote_status, passed)


def progress_line(run: Run) -> str:
    """Format what a run is doing: `running: in_progress, 12.5 of 50.0 units`."""
    match run.state:
        case State.PROPOSED:
            message = f"waits for approval: nightdesk approve {short_id(run.id)}"
        case State.CLAIMED:
            message = f"starting; limits: {format_duration(run.limits.max_ms)}, {units_text(run.limits.budget)} units"
        case State.SENDING:
            message = "sending the launch"
        case State.RUNNING:
            message = f"running: {sanitize(run.remote_status or 'launched', limit=40)}, {_units(run)}"
        case State.STOPPING:
            reason = words_of(run.stop.reason) if run.stop else "asked"
            message = f"stopping ({reason}), waiting for the service to confirm, {_units(run)}"
        case State.UNCONFIRMED:
            message = (
                "UNCONFIRMED: it may be running; the launch returned no id. Key and hold stay until you resolve it: "
                f'nightdesk settle {short_id(run.id)} adopt ID|not-launched|write-off --reason "…"'
            )
        case State.ENDED:
            message = f"{run.outcome_words} after {format_elapsed(run.elapsed_ms)}, {_units(run)}"
    extras = [
        "no new step for a while" if run.stalled and run.state is State.RUNNING else "",
        "stop not confirmed for 10 minutes" if run.stop and run.stop.alarmed and run.state is State.STOPPING else "",
        sanitize(run.trouble, limit=200) if run.state is not State.ENDED else "",
        sanitize(run.note, limit=200) if run.state in (State.ENDED, State.UNCONFIRMED) else "",
    ]
    return f"{progress_name(run)}: " + "; ".join([message, *filter(None, extras)])


def progress_name(run: Run) -> str:
    """Format the task and the id with which progress lines begin."""
    return f"{sanitize(run.task)} {short_id(run.id)}"


def _units(run: Run) -> str:
    return f"{units_text(run.used)} of {units_text(run.limits.budget)} units"


def time_left(run: Run, now_ms: int) -> str:
    """Format the time until the cut-off; empty for a run that has no deadline."""
    if run.deadline_ms is None or not run.is_live:
        return ""
    return format_countdown(run.deadline_ms - now_ms)
