"""Figures of a long test (states, seeds, seconds) for whoever reads its output: `pytest -rP` shows them."""

from __future__ import annotations

import sys


def report(*lines: str) -> None:
    """Writes the lines where pytest keeps the output of a test."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
