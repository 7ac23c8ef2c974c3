"""The system's two clocks, read together.

Kept apart because `ps` reads the clock without loading the engine.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from console.domain.timestamps import Timestamp

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIME_NAMESPACE = Path("/proc/self/ns/time")
_FIRST_NAMESPACE = "time:[4026531834]"
"""The time namespace of the machine itself (PROC_TIME_INIT_INO)."""


class SystemClock:
    """Wall clock, boot clock (counts through suspend, see clock_gettime(2)) and the id under which boots compare."""

    def __init__(self, boot_id: Path = BOOT_ID, time_namespace: Path = TIME_NAMESPACE) -> None:
        self._boot_id = _boot_id(boot_id, time_namespace)

    def now(self) -> Timestamp:
        """Read both clocks, in milliseconds."""
        return Timestamp(
            wall_ms=time.time_ns() // 1_000_000,
            boot_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            boot_id=self._boot_id,
        )


def _boot_id(boot_id: Path, time_namespace: Path) -> str:
    """Return the id of this boot, with the time namespace if that is not the machine's own.

    If the kernel tells no id, or a constant one, the id is that of this process alone: its readings are then compared
    with those of other processes by the wall clock.
    """
    try:
        found = str(uuid.UUID(boot_id.read_text("ascii").strip()))
    except (OSError, ValueError):
        found = str(uuid.UUID(int=0))
    if found == str(uuid.UUID(int=0)):
        return f"process-{uuid.uuid4()}"
    try:
        namespace = os.readlink(time_namespace)
    except OSError:
        return found
    return found if namespace == _FIRST_NAMESPACE else f"{found}+{namespace}"
