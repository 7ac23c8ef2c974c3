"""Runs as rows: what is live for `ps`, what was for `history`."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from console.cli.progress import short, time_left
from console.cli.run_json import elapsed_ms
from console.cli.style import Tone
from console.cli.table import Cell, Column
from console.domain.guardrails import UNIT_CAPS, Standing
from console.domain.moment import Moment
from console.domain.run import NEVER_A_RUN, Outcome, Run, State
from console.domain.usage import units_text
from console.engine.snapshot import Snapshot
from console.ui.format import elapsed, units, when, zone

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


def live_rows(runs: Sequence[Run], now: Moment) -> list[list[Cell]]:
    """One row per open run, in the order given."""
    return [
        [
            Cell(run.state.value, _STATE_TONES.get(run.state, Tone.PLAIN)),
            Cell(_task(run)),
            Cell(short(run.id)),
            Cell(time_left(run, now.wall_ms)),
            Cell(elapsed(elapsed_ms(run, now)) if run.sent else ""),
            Cell(f"{units(run.used)}/{units(run.limits.budget)}"),
            Cell(run.stage.word),
            Cell(run.trouble or run.last_step or run.note),
        ]
        for run in runs
    ]


def past_rows(runs: Sequence[Run], now: Moment, time_zone: str) -> list[list[Cell]]:
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
            Cell("-" if run.outcome in NEVER_A_RUN else units(run.units)),
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


def standing_line(standing: Standing) -> str:
    """`daily_units: 50.0 held + 38.2 spent of 2000.0`."""

    def amount(value: int) -> str:
        return units_text(value) if standing.cap in UNIT_CAPS else str(value)

    limit = "unlimited" if standing.limit is None else amount(standing.limit)
    return f"{standing.cap}: {amount(standing.held)} held + {amount(standing.spent)} spent of {limit}"


def head_lines(snapshot: Snapshot) -> list[str]:
    """What stands above the table of `ps`."""
    lines = [standing_line(standing) for standing in snapshot.standings]
    if snapshot.paused:
        lines.append(f"PAUSED by {snapshot.paused.by}: nothing is launched; `nightdesk resume`")
    return [*lines, *snapshot.problems]
