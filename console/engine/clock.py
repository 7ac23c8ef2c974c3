"""The system's two clocks, read together.

Kept apart because `ps` reads the clock without loading the engine.
"""

from __future__ import annotations

import time
from pathlib import Path

from console.domain.timestamps import Timestamp

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """Wall clock, boot clock (runs through suspend, see clock_gettime(2)) and the kernel's id of this boot."""

    def __init__(self) -> None:
        self._boot_id = _BOOT_ID.read_text("ascii").strip() if _BOOT_ID.exists() else "unknown"

    def now(self) -> Timestamp:
        """Both clocks, in milliseconds."""
        return Timestamp(
            wall_ms=time.time_ns() // 1_000_000,
            boot_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            boot_id=self._boot_id,
        )
