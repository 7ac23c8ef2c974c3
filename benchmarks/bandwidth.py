"""How many bytes a second forty live runs cost on the line: every countdown moves each second, usage every five."""

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
    """What the process that guards the runs writes while they are watched."""
    while not ended.wait(POLL_SECONDS):
        asyncio.run(move_on(state))


def measured(folder: Path) -> list[int]:
    """Bytes of each second, once the first frame is there."""
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
    """Prints the bytes of a second: in the mean, the median and at most."""
    with tempfile.TemporaryDirectory() as name:
        seconds = measured(Path(name))
    print(
        f"{LIVE} live runs in sight for {len(seconds)} s, bytes a second: "
        f"{mean(seconds):.0f} in the mean, {median(seconds):.0f} in the median, {max(seconds)} at most"
    )


if __name__ == "__main__":
    main()
