"""What is known of a run is freed as soon as it is not needed: a full garbage collection may be minutes away."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.domain.run import State
from console.domain.usage import Usage
from console.engine.run import monitor
from console.provider.contract import RemoteRun, Step
from tests.engine.building import BY, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import until


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def with_steps(agent: FakeAgent) -> None:
    agent.usage = Usage(total=1_000)
    agent.steps = tuple(Step(index=index, kind="thought", text=f"step {index}", done=True) for index in range(9))


async def test_the_monitor_of_a_run_is_freed_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitors: list[weakref.ref[monitor.RunMonitor]] = []
    follow = monitor.RunMonitor.follow

    async def noted(self: monitor.RunMonitor) -> None:
        monitors.append(weakref.ref(self))
        await follow(self)

    monkeypatch.setattr(monitor.RunMonitor, "follow", noted)
    async with engine_harness(tmp_path, FakeProvider(with_steps)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        await here.engine.operations.stop(run_id, by=BY)
        await here.engine.wait(run_id)
        await until(lambda: len(monitors) == 1 and monitors[0]() is None, what="a monitor that is freed")


async def test_the_reply_to_a_poll_is_not_kept_until_the_next_one(tmp_path: Path) -> None:
    """It has every step of the run, and with a thousand runs a thousand such replies would be kept."""
    provider = FakeProvider(with_steps)
    async with engine_harness(tmp_path, provider, settings(a_task(max_ms=60_000), poll_ms=3_600_000)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        await until(lambda: provider.agents["v1_0001"].gets >= 1)
        await until(lambda: not [each for each in gc.get_objects() if isinstance(each, RemoteRun)])
