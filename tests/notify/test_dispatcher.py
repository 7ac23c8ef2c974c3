"""What the engine shows is told once, whatever the receiver does, and no guard waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from console.config.settings import NotifySettings
from console.domain.run import Outcome, State
from console.engine.clock import SystemClock
from console.engine.concerns import Concern
from console.engine.models import Snapshot
from console.notify.channels import Channel, WebhookChannel
from console.notify.dispatcher import NoticeDispatcher
from console.notify.history import FILE, LOCK
from console.notify.summary import summary_lines
from console.os_files import LockedFile
from console.provider.contract import Unknown
from console.store.errors import StoreBusy
from console.turn import SHORT_PATIENCE, Turn
from tests.engine.building import BY, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.notify.receiver import Receiver, ReplyMode, receiving
from tests.notify.samples import SOURCE
from tests.waiting import until

USE = NotifySettings(webhook="https://hooks.example", debounce_ms=0)


class Telling:
    """A notifier of an engine, with its webhook on loopback."""

    def __init__(self, house: EngineHarness, receiver: Receiver) -> None:
        self.use = USE
        self.deadline_s = 0.5
        self.receiver = receiver
        self.dispatcher = NoticeDispatcher(
            house.engine,
            SystemClock(),
            house.folder,
            SOURCE,
            settings=lambda: self.use,
            make_channels=self._channels,
            waits_s=(0.01,),
        )

    def _channels(self, _use: NotifySettings) -> Sequence[Channel]:
        return (WebhookChannel(self.receiver.url, deadline_s=self.deadline_s),)

    async def texts(self, count: int) -> list[str]:
        """The texts that have arrived, once there are `count`; rounds go on meanwhile."""

        async def arrived() -> bool:
            await self.dispatcher.round()
            return len(self.receiver.bodies) >= count

        await until(arrived, what=f"{count} messages")
        return [body["text"] for body in self.receiver.bodies]


@asynccontextmanager
async def telling(
    folder: Path, provider: FakeProvider, *, mode: ReplyMode = ReplyMode.TAKES
) -> AsyncIterator[tuple[EngineHarness, Telling]]:
    async with receiving(mode) as receiver, engine_harness(folder, provider, settings(a_task())) as house:
        made = Telling(house, receiver)
        await made.dispatcher.round()
        try:
            yield house, made
        finally:
            await made.dispatcher.finish(1.0)


def failed(agent: FakeAgent) -> None:
    agent.status, agent.result, agent.errors = "failed", "canary-result", ("canary-error",)


async def test_a_lost_launch_and_a_failed_run_are_told_once_without_what_the_agent_said(tmp_path: Path) -> None:
    provider = FakeProvider(failed)
    provider.verdicts.append(Unknown(why="canary-why"))
    async with telling(tmp_path, provider) as (house, here):
        lost = (await house.launch(date="2026-11-01")).run
        await house.reaches(lost.id, State.UNCONFIRMED)
        assert await here.texts(1) == ["report is unconfirmed"]
        run = await house.engine.wait((await house.launch(date="2026-11-02")).run.id)
        assert run.outcome is Outcome.FAILED
        assert (await here.texts(2))[1] == "report: failed"
        for _ in range(3):
            await here.dispatcher.round()
        assert len(here.receiver.bodies) == 2
        assert here.receiver.bodies[1]["notices"] == [
            {"kind": "failed", "text": "report: failed", "task": "report", "run": run.id}
        ]
        assert "canary" not in str(here.receiver.bodies)


async def test_what_the_last_process_did_not_tell_the_next_one_does(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed), mode=ReplyMode.HANGS) as (house, here):
        here.deadline_s = 60
        here.use = replace(USE, debounce_ms=1)
        await house.engine.wait((await house.launch()).run.id)
        await here.texts(1)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    async with telling(tmp_path, FakeProvider()) as (house, here):
        assert await here.texts(1) == ["report: failed"]
    async with telling(tmp_path, FakeProvider()) as (house, here):
        await here.dispatcher.round()
        assert here.receiver.bodies == []


async def test_the_last_round_tells_what_ended_at_the_end(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed)) as (house, here):
        await house.engine.wait((await house.launch()).run.id)
    assert [body["text"] for body in here.receiver.bodies] == ["report: failed"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_last_round_while_the_first_one_is_under_way_tells_once(tmp_path: Path, turns: int) -> None:
    async with telling(tmp_path, FakeProvider(failed)) as (house, here):
        await here.dispatcher.finish(5.0)
        await house.engine.wait((await house.launch()).run.id)
        other = Telling(house, here.receiver)
        under_way = asyncio.create_task(other.dispatcher.round())
        for _ in range(turns):
            await asyncio.sleep(0)
        await other.dispatcher.finish(5.0)
        await under_way
    assert [body["text"] for body in here.receiver.bodies] == ["report: failed"]


async def test_one_process_of_a_state_folder_tells(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed)) as (house, here):
        other = Telling(house, here.receiver)
        await house.engine.wait((await house.launch()).run.id)
        for _ in range(3):
            await other.dispatcher.round()
        assert here.receiver.bodies == []
        await here.texts(1)
        await here.dispatcher.finish(5.0)
        await other.dispatcher.round()
        assert LockedFile.try_lock(tmp_path / LOCK) is None, "the other one has the turn now"
        await other.dispatcher.finish(5.0)
        assert len(here.receiver.bodies) == 1


async def test_a_process_that_does_not_come_round_loses_its_turn_and_repeats_nothing(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed)) as (house, here):
        other = Telling(house, here.receiver)
        await house.engine.wait((await house.launch()).run.id)
        for _ in range(SHORT_PATIENCE + 1):
            await other.dispatcher.round()
            assert here.receiver.bodies == []
        await other.texts(1)
        await here.dispatcher.round()
        await here.dispatcher.finish(5.0)
        await other.dispatcher.finish(5.0)
        assert len(here.receiver.bodies) == 1


async def test_what_waited_while_its_process_was_stopped_does_not_leave_any_more(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed), mode=ReplyMode.HANGS) as (house, here):
        here.deadline_s = 60
        first = (await house.launch(date="2026-11-01")).run
        await house.engine.wait(first.id)
        await here.texts(1)
        await house.engine.wait((await house.launch(date="2026-11-02")).run.id)
        await here.dispatcher.round()
        taken = Turn(tmp_path / LOCK, patience=0)
        await until(taken.take)
        here.receiver.mode = ReplyMode.TAKES
        await here.receiver.close()
        before = (tmp_path / FILE).read_bytes()
        for _ in range(3):
            await here.dispatcher.round()
        assert len(here.receiver.bodies) == 1
        assert (tmp_path / FILE).read_bytes() == before, "what people were told is now written by the other one"
        taken.release()


async def test_a_receiver_that_hangs_delays_neither_the_rounds_nor_a_cancel(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(), mode=ReplyMode.HANGS) as (house, here):
        house.engine.add_concern(Concern(name="notify", round=here.dispatcher.round, every_s=0.02))
        run = (await house.launch()).run
        await house.reaches(run.id, State.RUNNING)
        house.engine.problems.report("anything", "is wrong")
        await until(lambda: here.receiver.bodies, what="a message that hangs")
        before = house.engine.rounds["notify"]
        await until(lambda: house.engine.rounds["notify"] > before + 3)
        assert house.engine.lagging() == ()
        await house.engine.operations.stop(run.id, by=BY)
        await house.reaches(run.id, State.ENDED)


async def test_while_the_store_does_not_answer_the_trouble_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with telling(tmp_path, FakeProvider()) as (house, here):

        async def busy() -> Snapshot:
            raise StoreBusy("canary: another process holds it")

        monkeypatch.setattr(house.engine.queries, "snapshot", busy)
        house.engine.problems.report("offline", "no answer: canary", lasting=True)
        assert await here.texts(1) == ["the provider does not answer"]
        assert "canary" not in str(here.receiver.bodies)


async def test_trouble_with_telling_is_no_reason_for_a_message(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed), mode=ReplyMode.REFUSES) as (house, here):
        await house.engine.wait((await house.launch()).run.id)
        await here.texts(1)
        await until(lambda: [each for each in house.engine.problems.entries() if each.topic == "notify"])
        here.receiver.mode = ReplyMode.TAKES
        for _ in range(5):
            await here.dispatcher.round()
        assert len(here.receiver.bodies) == 1


async def test_settings_that_change_are_in_force_with_the_next_round(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed)) as (house, here):
        here.use = replace(USE, kinds=frozenset({"unconfirmed"}))
        await house.engine.wait((await house.launch()).run.id)
        await here.dispatcher.round()
        here.use = replace(USE, webhook=None)
        await here.dispatcher.round()
        assert here.receiver.bodies == []


async def test_the_daily_summary_counts_what_ended(tmp_path: Path) -> None:
    async with telling(tmp_path, FakeProvider(failed)) as (house, _):
        await house.engine.wait((await house.launch()).run.id)
        snapshot = await house.engine.queries.snapshot()
        lines = await summary_lines(house.engine.queries, snapshot, ZoneInfo("UTC"))
        assert lines[0].endswith("UTC: 1 run: 1 failed")
        assert lines[1].startswith("used: ")
        assert lines[-1] == "nothing needs a person"
