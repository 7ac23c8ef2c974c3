"""A run told to somebody who waits: one calm line on stderr for each change, and none for the passing of time."""

from __future__ import annotations

from console.domain.run import Run, State
from console.domain.text import safe
from console.domain.usage import units_text
from console.ui.format import countdown, elapsed, span_of

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
            told = f"claimed, cut off after {span_of(run.limits.max_ms)} or {units_text(run.limits.budget)} units"
        case State.SENDING:
            told = "sending the launch"
        case State.RUNNING:
            told = f"running: {safe(run.remote_status or 'launched', limit=40)}, {_units(run)}"
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
        safe(run.trouble, limit=200) if run.state is not State.ENDED else "",
        safe(run.note, limit=200) if run.state in (State.ENDED, State.UNCONFIRMED) else "",
    ]
    return f"{safe(run.task)} {short(run.id)}: " + "; ".join([told, *filter(None, extras)])


def _units(run: Run) -> str:
    return f"{units_text(run.used)} of {units_text(run.limits.budget)} units"


def time_left(run: Run, now_ms: int) -> str:
    """The countdown to the cut-off; empty where none runs."""
    if run.deadline_ms is None or not run.is_live:
        return ""
    return countdown(run.deadline_ms - now_ms)
