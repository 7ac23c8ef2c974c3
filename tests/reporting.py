"""Prints the figures of a long test (states, seeds, seconds); `pytest -rP` shows them.

Kept apart because every suite of proofs uses it.
"""

from __future__ import annotations

import sys


def report(*lines: str) -> None:
    """Writes lines to the captured output of the test."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
