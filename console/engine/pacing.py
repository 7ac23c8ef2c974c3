"""Every interval the engine keeps, in one place, so that a test can make them small and a reader can see them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """Seconds where the name ends in `_s`, real milliseconds where it ends in `_ms`."""

    tick_s: float = 1.0
    """How often every engine looks at the state folder: stops, take-overs, overdue runs."""
    save_ms: int = 1_000
    """Live figures are stored at most this often."""
    beat_ms: int = 10_000
    """Heartbeat of an owner; for an alarm only, never for a take-over."""
    fresh_send_ms: int = 2_000
    """A POST that could not start within this after its record is not started at all."""
    claim_window_ms: int = 60_000
    """A run still `claimed` goes on only within this."""
    not_sent_waits_s: tuple[float, ...] = (1.0, 4.0)
    """Between tries that provably sent nothing: three tries in all."""
    rate_limit_waits_s: tuple[float, ...] = (5.0, 20.0, 60.0)
    """Between tries after a 429, unless the provider names a time; three more tries."""
    longest_rate_limit_s: float = 120.0
    """A longer Retry-After ends the run as not sent; whoever launched it tries later."""
    usage_waits_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Between the last looks for usage that comes late."""
    stream_waits_s: tuple[float, ...] = (1.0, 5.0, 15.0, 30.0)
    """Before the stream is opened again; the last one repeats."""
    cancel_first_s: float = 1.0
    cancel_longest_s: float = 60.0
    """Cancel back-off doubles from the first to the longest, with full jitter, for ever."""
    sandbox_after_ms: int = 120_000
    """A stop without proof for this long deletes the run's own sandbox."""
    alarm_after_ms: int = 600_000
    """A stop without proof for this long raises the alarm."""
    alarm_again_ms: int = 3_600_000
    overdue_ms: int = 15_000
    """After this any engine cancels a run that its living owner should have stopped."""
    parked_polls: int = 3
    """A run that waits for input is taken as failed after this many looks that show no end."""
    clock_note_ms: int = 5_000
    clock_pause_ms: int = 300_000
    """A wall clock that steps by more pauses all launches."""
    handover_s: float = 8.0
    """How long a launch on its way is waited for when the process must go."""
    retry_waits_ms: tuple[int, ...] = (60_000, 300_000, 900_000)
    """Before an unattended task tries a failed key again; the last one repeats."""
