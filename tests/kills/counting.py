"""Starts the worker processes that run the trials, and adds up their counts.

Kept apart because `tests.kills.worker` is a program of its own whose imports pytest does not need.
"""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from tests.kills.trial import Count
from tests.tree import ROOT

WORKERS = (os.cpu_count() or 1) + 1
"""One more than there are cores, because trials also wait for deadlines."""


def counted(seed: int, *words: str, workers: int = 1) -> Count:
    """Runs `workers` processes, each with its share of the trials, and returns the sum of their counts."""
    command = [sys.executable, "-m", "tests.kills.worker", "--seed", str(seed), *words]
    started = [
        subprocess.Popen([*command, "--share", f"{share}/{workers}"], cwd=ROOT, stdout=subprocess.PIPE)
        for share in range(workers)
    ]
    whole = Count()
    try:
        for process in started:
            out, _ = process.communicate(timeout=3600)
            assert process.returncode == 0, f"a worker ended with {process.returncode}"
            whole.add(msgspec.json.decode(out, type=Count))
    finally:
        for process in started:
            process.kill()
            process.wait()
    return whole
