"""The console over a fake engine, as a process of its own: `python -m tests.ui.ptyapp FOLDER MODE [ROWS]`.

It counts in FOLDER/beats while its event loop runs, answers the file `ask` with the screen as Textual has it, and
writes `end.json` when it ends.
Modes: `plain`; `storm` repaints everything all the time; `crash` fails at the key `l`; `idle` has no run.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import cast

from console.domain.timestamps import Timestamp
from console.engine.clock import SystemClock
from console.engine.settings import EngineSettings
from console.ui.context import ExitReason, ExitResult
from console.ui.ports import EnginePort
from console.ui.run_console import run_console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine
from tests.waiting import until

BEAT_S = 0.02
CANARY = "canary-5c1e"


class RunningClock(SystemClock):
    """A clock that starts at `samples.NOW` and runs."""

    def __init__(self) -> None:
        super().__init__()
        self._start = super().now()

    def now(self) -> Timestamp:
        passed = super().now().boot_ms - self._start.boot_ms
        return samples.moment(passed / 1000)


class Failing:
    """An engine that fails, once a file is there, where its tasks are asked for, with a secret among the locals."""

    def __init__(self, engine: FakeEngine, fails: Path) -> None:
        self._engine = engine
        self._fails = fails

    @property
    def settings(self) -> EngineSettings:
        secret = CANARY[::-1]
        if not self._fails.exists():
            return self._engine.settings
        raise RuntimeError(f"no settings \x1b[31m, {len(secret)}")

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


class Recorder:
    """Counts while the event loop runs, and records what the process did apart from its screen."""

    def __init__(self, folder: Path, mode: str, engine: FakeEngine) -> None:
        self.folder = folder
        self.engine = engine
        self.mode = mode
        self.beats = 0
        self.longest_gap = 0.0

    async def beat(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            self.longest_gap, last = max(self.longest_gap, now - last - BEAT_S), now
            self.beats += 1
            (self.folder / "beats").write_text(str(self.beats))
            self._answer()

    def _answer(self) -> None:
        from console.ui.app import ConsoleApp

        ask = self.folder / "ask"
        if not ask.exists() and self.mode != "storm":
            return
        app = next((each for each in gc.get_objects() if isinstance(each, ConsoleApp) and each.is_running), None)
        if app is None:
            return
        if self.mode == "storm" and not (self.folder / "calm").exists():
            app.theme = "day" if self.beats % 2 else "night"
        if ask.exists():
            strips = app.screen._compositor.render_strips(app.size)
            (self.folder / "screen").write_text("\n".join(strip.text.rstrip() for strip in strips))
            ask.unlink()

    def end(self, result: ExitResult) -> None:
        record = {
            "end": result.reason,
            "message": result.message,
            "beats": self.beats,
            "longest_gap": self.longest_gap,
            "asked": self.engine.asked,
            "descriptors": [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)],
        }
        part = self.folder / "end.part"
        part.write_text(json.dumps(record))
        part.rename(self.folder / "end.json")


async def main(folder: Path, mode: str, rows: int) -> None:
    live = [samples.run(number, of=samples.TASKS[number % 5], used=number / 2) for number in range(rows)]
    engine = FakeEngine(live=[] if mode == "idle" else live)
    shown = cast("EnginePort", Failing(engine, folder / "fails")) if mode == "crash" else engine
    recorder = Recorder(folder, mode, engine)
    beating = asyncio.create_task(recorder.beat())

    async def leave() -> None:
        (folder / "left").touch()

    result = await run_console(shown, clock=RunningClock(), leave=leave)
    if result.reason is ExitReason.LINE_DROPPED:
        target = recorder.beats + 20
        await until(lambda: recorder.beats >= target)
    beating.cancel()
    recorder.end(result)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 6))
