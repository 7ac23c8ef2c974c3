"""What a process holds, looked at again and again: it must not grow."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look."""

    descriptors: int
    threads: int
    mebibytes: float
    """Resident memory."""


def sample(pid: int) -> Sample:
    """What the process holds now. Raises OSError where it is gone."""
    proc = Path("/proc") / str(pid)
    return Sample(
        descriptors=len(list((proc / "fd").iterdir())),
        threads=len(list((proc / "task").iterdir())),
        mebibytes=int((proc / "statm").read_text().split()[1]) * _PAGE / (1 << 20),
    )


def growth(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> tuple[float, float]:
    """The medians of the second quarter, when all is warm, and of the last one."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    return statistics.median(map(figure, early)), statistics.median(map(figure, late))
