"""How long until somebody can read the console, and what a plain command costs. Ratios, since machines differ."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks._terminal import COLUMNS, ROWS, seconds_until_shown

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 11


def environment(folder: Path) -> dict[str, str]:
    """Ours with a home and a state folder of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTDESK_", "XDG_", "SSH_"))}
    return own | {
        "HOME": str(folder),
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": str(ROWS),
        "NIGHTDESK_STATE_DIR": str(folder / "state"),
        "GEMINI_API_KEY": "not-used",
        "PYTHONPATH": str(ROOT),
    }


def medians(**measured: Callable[[], float]) -> dict[str, float]:
    """Seconds each, rounds interleaved so that a busy moment hits all alike; the first round warms the caches."""
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for turn in range(ROUNDS + 1):
        for name, measure in measured.items():
            took = measure()
            if turn:
                seconds[name].append(took)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Prints the medians and the two ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = environment(folder)
        nightdesk = [sys.executable, "-m", "console"]

        def command(*arguments: str) -> Callable[[], float]:
            def measure() -> float:
                started = time.perf_counter()
                subprocess.run(arguments, cwd=folder, env=own, check=True, stdout=subprocess.DEVNULL)
                return time.perf_counter() - started

            return measure

        def screen(arguments: list[str], *marks: str) -> Callable[[], float]:
            return lambda: seconds_until_shown(arguments, marks=marks, cwd=folder, environment=own)

        command(*nightdesk, "init")()
        took = medians(
            bare_table=screen([sys.executable, "-m", "benchmarks._bare_table"], "bare", "task-20", "palette"),
            console=screen(nightdesk, *CONSOLE_MARKS),
            imports=command(sys.executable, "-c", "import asyncio, sqlite3"),
            ps=command(*nightdesk, "ps", "--json"),
            version=command(*nightdesk, "--version"),
        )
    for what, seconds in took.items():
        print(f"{what:12} {seconds * 1000:7.0f} ms")
    print(f"first frame, console / bare table:           {took['console'] / took['bare_table']:.2f}")
    print(f"ps --json / python -c 'import asyncio, sqlite3': {took['ps'] / took['imports']:.2f}")


CONSOLE_MARKS = ("live of", "cut-off", "help")
"""What stands on the first whole frame of the console."""

if __name__ == "__main__":
    main()
