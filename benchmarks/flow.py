"""Count the files and functions of the program that a launch passes until `running`, and a stop until `ended`.

Screen, command line, provider and simulator are left out, and so are the concerns of the engine, which are stopped
first. Lambdas and comprehensions are not counted; code that runs in the thread of the database is.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from console.domain.run import RunId, State
from tests.engine.building import BY, QUICK, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeProvider
from tests.tree import CONSOLE
from tests.waiting import until

LEFT_OUT = frozenset(("ui", "cli", "provider", "simulator"))
PATIENT = replace(QUICK, sandbox_after_ms=60_000, alarm_after_ms=60_000, intent_wait_s=30.0, fresh_send_ms=60_000)
"""A slow machine is taken neither for a service that does not stop the run nor for a store that does not answer."""
WITHIN_S = 30.0
"""Seconds in which a launch or a stop has to come to its end; it takes some milliseconds."""


class Recorder:
    """The functions that were called while it was on, by file."""

    def __init__(self) -> None:
        self.is_on = False
        self._called: dict[str, set[str]] = defaultdict(set)
        # Set before the store is opened: a thread that runs already is not seen.
        threading.setprofile(self._record)
        sys.setprofile(self._record)

    def take(self) -> dict[str, set[str]]:
        """Return what was recorded, and begin again."""
        called, self._called = self._called, defaultdict(set)
        return called

    def close(self) -> None:
        """Record nothing more, in any thread that starts later."""
        sys.setprofile(None)
        threading.setprofile(None)

    def _record(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if not self.is_on or event != "call" or code.co_name.startswith("<"):
            return
        path = Path(code.co_filename)
        if path.is_relative_to(CONSOLE):
            place = path.relative_to(CONSOLE)
            if place.parts[0] not in LEFT_OUT:
                self._called[str(place)].add(code.co_qualname)


async def _launch(here: EngineHarness, task: str, recorder: Recorder) -> RunId:
    recorder.is_on = True
    run_id = (await here.launch(task)).run.id
    await _until_state(here, run_id, State.RUNNING)
    recorder.is_on = False
    return run_id


async def _stop(here: EngineHarness, run_id: RunId) -> None:
    await here.engine.operations.stop(run_id, by=BY)
    await _until_state(here, run_id, None)


async def _until_state(here: EngineHarness, run_id: RunId, wanted: State | None) -> None:
    """Wait until the supervisor of the run shows the state `wanted`; None: until it has let go of the run.

    It asks in every turn of the event loop, so that nothing that follows is counted. Raises RuntimeError, which says
    how the run stands, once it stays in another state, and after WITHIN_S.
    """
    ends_s = time.monotonic() + WITHIN_S
    never = {None, State.UNCONFIRMED, State.ENDED} if wanted is not None else {State.UNCONFIRMED}
    while (state := _state(here, run_id)) is not wanted:
        if state in never or time.monotonic() > ends_s:
            row = await here.run(run_id)
            problems = "; ".join(entry.text for entry in here.engine.problems.entries()) or "no problems"
            found = f"its supervisor shows {state}, its row {row.state}, outcome {row.outcome}, note {row.note!r}"
            raise RuntimeError(f"run {run_id} does not come to {wanted or 'its end'}: {found}; {problems}")
        await asyncio.sleep(0)


def _state(here: EngineHarness, run_id: RunId) -> State | None:
    run = here.engine._supervisor.known(run_id)
    return run.state if run is not None else None


async def measure() -> dict[str, dict[str, set[str]]]:
    """Return the functions by file that each way passes."""
    recorder = Recorder()
    try:
        return await _measure(recorder)
    finally:
        recorder.close()


async def _measure(recorder: Recorder) -> dict[str, dict[str, set[str]]]:
    provider, found = FakeProvider(), {}
    use = settings(a_task("first"), a_task("second"), poll_ms=60_000)
    with tempfile.TemporaryDirectory(prefix="flow-") as folder:
        async with engine_harness(Path(folder), provider, use, timings=PATIENT) as here:
            await here.engine._concerns.stop()
            first = await _launch(here, "first", recorder)
            found["first launch of a process"] = recorder.take()
            await _stop(here, first)
            await until(lambda: not here.engine._context.background._tasks, what="the records of the stop are written")
            second = await _launch(here, "second", recorder)
            found["further launch"] = recorder.take()
            await until(lambda: provider.agents["v1_0002"].gets > 0, what="a first poll")
            recorder.is_on = True
            await _stop(here, second)
            recorder.is_on = False
            found["stop"] = recorder.take()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", action="store_true", help="print the functions by file, too")
    names = parser.parse_args().names
    for way, called in asyncio.run(measure()).items():
        print(f"{way}: {len(called)} files, {sum(map(len, called.values()))} functions")
        for file, functions in sorted(called.items()) if names else ():
            print(f"  {file}: {', '.join(sorted(functions))}")


if __name__ == "__main__":
    main()
