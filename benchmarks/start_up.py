"""Measure how long the console takes to show its first frame, and what a plain command costs, as ratios."""

from __future__ import annotations

import compileall
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks._live_runs import CONFIG, LIVE, TARGETS, live_runs
from benchmarks._terminal import COLUMNS, ROWS, Cost, cost_of, cost_until_shown

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 11


def environment(folder: Path) -> dict[str, str]:
    """Return this process's environment with a separate home and state folder."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("NIGHTDESK_", "XDG_", "SSH_"))
    }
    return inherited | {
        "HOME": str(folder),
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": str(ROWS),
        "NIGHTDESK_STATE_DIR": str(folder / "state"),
        "GEMINI_API_KEY": "not-used",
        "PYTHONPATH": str(ROOT),
    }


def medians(measurements: Mapping[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Return the median cost of each measurement.

    The rounds alternate, so that other load affects all alike. The first round fills the caches and does not count.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in measurements}
    for turn in range(ROUNDS + 1):
        for name, measure in measurements.items():
            cost = measure()
            if turn:
                costs[name].append(cost)
    return {
        name: Cost(wall=median(cost.wall for cost in each), cpu=median(cost.cpu for cost in each))
        for name, each in costs.items()
    }


def measurements(folder: Path) -> dict[str, Callable[[], Cost]]:
    """Return the measurements by name, for a folder with a configuration and live runs."""
    variables = environment(folder)
    python, nightdesk = [sys.executable], [sys.executable, "-m", "console"]

    def command(*arguments: str) -> Callable[[], Cost]:
        return lambda: cost_of(arguments, cwd=folder, environment=variables)

    def screen(arguments: list[str], *marks: str) -> Callable[[], Cost]:
        return lambda: cost_until_shown(arguments, marks=marks, cwd=folder, environment=variables)

    return {
        "bare table": screen([*python, "-m", "benchmarks._bare_table"], "bare", "palette", *TARGETS),
        "console": screen(nightdesk, "cut-off", "help", f"{LIVE} live of", *TARGETS),
        "imports": command(*python, "-c", "import asyncio, sqlite3"),
        "ps --json": command(*nightdesk, "ps", "--json"),
        "--version": command(*nightdesk, "--version"),
    }


def main() -> None:
    """Print the medians and the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "nightdesk.toml"
        config.write_text(CONFIG, encoding="utf-8")
        compileall.compile_dir(ROOT / "console", quiet=1)
        with live_runs(folder / "state", config):
            costs = medians(measurements(folder))
    for what, cost in costs.items():
        print(f"{what:12} {cost.wall * 1000:6.0f} ms, of which CPU {cost.cpu * 1000:6.0f} ms")
    for above, below in (("console", "bare table"), ("ps --json", "imports"), ("--version", "imports")):
        one, other = costs[above], costs[below]
        print(f"{above} / {below}: {one.wall / other.wall:.2f}, by CPU {one.cpu / other.cpu:.2f}")


if __name__ == "__main__":
    main()
