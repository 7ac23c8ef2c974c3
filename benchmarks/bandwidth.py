"""Measure the bytes per second that the console writes for forty live runs.

Every countdown changes each second, and the usage of every run every five seconds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from pathlib import Path
from statistics import mean, median

from benchmarks._live_runs import CONFIG, LIVE, TARGETS, live_runs, move_on
from benchmarks._terminal import bytes_by_second
from benchmarks.start_up import environment

SECONDS = 30
POLL_SECONDS = 5


def poll(state: Path, ended: threading.Event) -> None:
    """Write to the store what the supervising process would write, until `ended` is set."""
    while not ended.wait(POLL_SECONDS):
        asyncio.run(move_on(state))


def measure(folder: Path) -> list[int]:
    """Return the bytes of each second after the first frame."""
    config, state, ended = folder / "nightdesk.toml", folder / "state", threading.Event()
    config.write_text(CONFIG, encoding="utf-8")
    with live_runs(state, config):
        polling = threading.Thread(target=poll, args=(state, ended))
        polling.start()
        try:
            command = [sys.executable, "-m", "console"]
            marks = ("cut-off", "help", *TARGETS)
            return bytes_by_second(command, SECONDS, marks=marks, cwd=folder, environment=environment(folder))
        finally:
            ended.set()
            polling.join()


def main() -> None:
    """Print the mean, the median and the maximum of the bytes per second."""
    with tempfile.TemporaryDirectory() as name:
        seconds = measure(Path(name))
    print(
        f"{LIVE} live runs visible for {len(seconds)} s, bytes a second: "
        f"mean {mean(seconds):.0f}, median {median(seconds):.0f}, maximum {max(seconds)}"
    )


if __name__ == "__main__":
    main()
