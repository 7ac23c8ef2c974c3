"""Runs as rows: what is live for `ps`, what was for `history`."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from console.cli.render.run_json import elapsed_ms
from console.cli.render.table import Cell, Column, Tone
from console.domain.limits import UNIT_CAPS, CapUsage
from console.domain.run import NON_RUN_OUTCOMES, Outcome, Run, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.engine.models import Snapshot
from console.ui.format import countdown, elapsed, format_duration, units, when, zone

LIVE_COLUMNS = (
    Column(title="STATE"),
    Column(title="TASK", gives=2),
    Column(title="RUN"),
    Column(title="LEFT", right=True),
    Column(title="ELAPSED", right=True),
    Column(title="UNITS", right=True),
    Column(title="STAGE"),
    Column(title="LAST STEP", gives=3),
)
PAST_COLUMNS = (
    Column(title="WHEN"),
    Column(title="OUTCOME"),
    Column(title="TASK", gives=2),
    Column(title="RUN"),
    Column(title="TRY", right=True),
    Column(title="DATE"),
    Column(title="ELAPSED", right=True),
    Column(title="UNITS", right=True),
    Column(title="NOTE", gives=3),
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
    """One row per open run, in the order given."""
    return [
        [
            Cell(run.state.value, _STATE_TONES.get(run.state, Tone.PLAIN)),
            Cell(_task(run)),
            Cell(short(run.id)),
            Cell(time_left(run, now.wall_ms)),
            Cell(elapsed(elapsed_ms(run, now)) if run.sent else ""),
            Cell(f"{units(run.used)}/{units(run.limits.budget)}"),
            Cell(run.stage.label),
            Cell(run.trouble or run.last_step or run.note),
        ]
        for run in runs
    ]


def past_rows(runs: Sequence[Run], now: Timestamp, time_zone: str) -> list[list[Cell]]:
    """One row per entry of the history, in the order given; times are of `time_zone`."""
    where: ZoneInfo = zone(time_zone)
    return [
        [
            Cell(when(run.ended_ms or run.created_ms, now.wall_ms, where)),
            Cell(outcome_word(run), outcome_tone(run)),
            Cell(_task(run)),
            Cell(short(run.id)),
            Cell(str(run.attempt) if run.attempt else "-"),
            Cell(run.date),
            Cell(elapsed(elapsed_ms(run, now)) if run.sent else "-"),
            Cell("-" if run.outcome in NON_RUN_OUTCOMES else units(run.units)),
            Cell(run.note),
        ]
        for run in runs
    ]


def outcome_word(run: Run) -> str:
    """How it ended, or where it stands."""
    return run.outcome.value if run.outcome else run.state.value


def outcome_tone(run: Run) -> Tone:
    """Good endings, endings of no matter, and the rest."""
    if run.outcome is None:
        return _STATE_TONES.get(run.state, Tone.PLAIN)
    return _OUTCOME_TONES.get(run.outcome, Tone.BAD)


def _task(run: Run) -> str:
    return run.task if run.target == run.task else f"{run.task} {run.target}"


def cap_usage_line(cap_usage: CapUsage) -> str:
    """`daily_units: 50.0 held + 38.2 spent of 2000.0`."""

    def amount(value: int) -> str:
        return units_text(value) if cap_usage.cap in UNIT_CAPS else str(value)

    limit = "unlimited" if cap_usage.limit is None else amount(cap_usage.limit)
    return f"{cap_usage.cap}: {amount(cap_usage.held)} held + {amount(cap_usage.spent)} spent of {limit}"


def head_lines(snapshot: Snapshot, *, has_caps: bool) -> list[str]:
    """Return the lines above the table of `ps`; `has_caps` says whether the caps are known."""
    lines = [cap_usage_line(cap_usage) for cap_usage in snapshot.cap_usages] if has_caps else []
    if snapshot.paused:
        lines.append(f"PAUSED by {snapshot.paused.by}: nothing is launched; `nightdesk resume`")
    return [*lines, *(problem.line(snapshot.taken.wall_ms) for problem in snapshot.problems)]


QUARTERS = (25, 50, 75, 90)
"""Percent of the budget whose passing is a change."""


def short(run_id: str) -> str:
    """Enough of a run id to type: its time in milliseconds and a little more."""
    return run_id[:12]


def change_key(run: Run) -> tuple[object, ...]:
    """Two looks at a run with the same key tell the same line."""
    share = run.used * 100 // max(1, run.limits.budget)
    passed = sum(share >= quarter for quarter in QUARTERS)
    stop = run.stop.reason if run.stop else None
    alarmed = run.stop is not None and run.stop.alarmed
    return (run.state, run.outcome, stop, alarmed, run.stalled, bool(run.trouble), run.remote_status, passed)


def progress_line(run: Run) -> str:
    """What a run is doing: `running: in_progress, 12.5 of 50.0 units`."""
    match run.state:
        case State.PROPOSED:
            told = f"waits for approval: nightdesk approve {short(run.id)}"
        case State.CLAIMED:
            told = (
                f"claimed, cut off after {format_duration(run.limits.max_ms)} or {units_text(run.limits.budget)} units"
            )
        case State.SENDING:
            told = "sending the launch"
        case State.RUNNING:
            told = f"running: {sanitize(run.remote_status or 'launched', limit=40)}, {_units(run)}"
        case State.STOPPING:
            reason = run.stop.reason if run.stop else "asked"
            told = f"stopping ({reason}), not ended until the provider shows it, {_units(run)}"
        case State.UNCONFIRMED:
            told = (
                "UNCONFIRMED: it may be running and no id came back. Its key and hold stay until you rule: "
                f"nightdesk settle {short(run.id)} adopt ID | not-launched | write-off"
            )
        case State.ENDED:
            told = f"{run.outcome} after {elapsed(run.elapsed_ms)}, {_units(run)}"
    extras = [
        "no new step for a while" if run.stalled and run.state is State.RUNNING else "",
        "stop not proven for 10 minutes" if run.stop and run.stop.alarmed and run.state is State.STOPPING else "",
        sanitize(run.trouble, limit=200) if run.state is not State.ENDED else "",
        sanitize(run.note, limit=200) if run.state in (State.ENDED, State.UNCONFIRMED) else "",
    ]
    return f"{sanitize(run.task)} {short(run.id)}: " + "; ".join([told, *filter(None, extras)])


def _units(run: Run) -> str:
    return f"{units_text(run.used)} of {units_text(run.limits.budget)} units"


def time_left(run: Run, now_ms: int) -> str:
    """The countdown to the cut-off; empty where none runs."""
    if run.deadline_ms is None or not run.is_live:
        return ""
    return countdown(run.deadline_ms - now_ms)
