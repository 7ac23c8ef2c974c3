"""Samples of what a process holds, to show that it does not grow.

Kept apart because `test_soak.py` is the scenario and this the measurement.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement."""

    descriptors: int
    threads: int
    mebibytes: float
    """Resident memory."""


def sample(pid: int) -> Sample:
    """Measures a process. Raises OSError once it has ended."""
    proc = Path("/proc") / str(pid)
    return Sample(
        descriptors=len(list((proc / "fd").iterdir())),
        threads=len(list((proc / "task").iterdir())),
        mebibytes=int((proc / "statm").read_text().split()[1]) * _PAGE / (1 << 20),
    )


def growth(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> tuple[float, float]:
    """The median of a figure over the second quarter of the samples, after the warm-up, and over the last quarter."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    return statistics.median(map(figure, early)), statistics.median(map(figure, late))
