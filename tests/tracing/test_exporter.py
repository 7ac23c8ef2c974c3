"""Every run that ended is sent once as spans, whatever the receiver does, and no guard waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from console.config.settings import OtelSettings
from console.domain.run import RunId, State
from console.domain.timestamps import Timestamp
from console.engine.clock import SystemClock
from console.engine.concerns import Concern
from console.engine.problems import Problem
from console.tracing.position import FILE, Position, read_position
from console.tracing.receiver import OtlpReceiver
from console.trusted_files import replace_private
from tests.engine.building import BY, EngineHarness, engine_harness
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.notify.receiver import Receiver, ReplyMode, receiving
from tests.tracing.decoding import NEEDS_OTEL, ArrivedSpan, decoded
from tests.waiting import until

pytestmark = NEEDS_OTEL


class LateClock:
    """The clock of the system, `late_ms` ahead."""

    def __init__(self) -> None:
        self.late_ms = 0

    def now(self) -> Timestamp:
        """Read both clocks together."""
        now = SystemClock().now()
        return replace(now, wall_ms=now.wall_ms + self.late_ms)


class Exporting:
    """An exporter of an engine, with its receiver on loopback."""

    def __init__(self, house: EngineHarness, receiver: Receiver) -> None:
        from console.tracing.exporter import SpanExporter

        self.house = house
        self.receiver = receiver
        self.use = OtelSettings(endpoint=f"http://127.0.0.1:{receiver.port}/v1/traces", headers_env="HEADERS")
        self.environment = {"HEADERS": "authorization=Bearer%20canary-header,x-scope=night"}
        self.deadline_s = 0.5
        self.clock = LateClock()
        self.exporter = SpanExporter(
            house.store,
            house.engine.problems,
            self.clock,
            house.folder,
            settings=lambda: self.use,
            make_receiver=lambda use: OtlpReceiver(use, self.environment, deadline_s=self.deadline_s),
            about={"service.version": "1", "host.name": "web1"},
            waits_s=(0.01, 0.01, 0.01),
        )

    async def run_one(self, date: str = "2026-11-01") -> RunId:
        """Launch a run and wait until it has ended."""
        return (await self.house.engine.wait((await self.house.launch(date=date)).run.id)).id

    async def spans(self, count: int) -> list[ArrivedSpan]:
        """The spans of agents that have arrived, once there are `count`; rounds go on meanwhile."""
        await self.rounds_until(lambda: len(self.agents) >= count, f"{count} spans")
        return self.agents

    async def rounds_until(self, condition: object, what: str) -> None:
        """Make rounds until `condition()`."""

        async def reached() -> bool:
            await self.exporter.round()
            return bool(condition())  # type: ignore[operator]  # a function

        await until(reached, what=what)

    @property
    def agents(self) -> list[ArrivedSpan]:
        """The spans of agents in the order of arrival."""
        return [span for body in self.receiver.bodies for span in body if span.name.startswith("invoke_agent")]

    @property
    def position(self) -> Position | None:
        """What the file says."""
        return read_position(self.house.folder)

    @property
    def problems(self) -> list[Problem]:
        """The problems of sending."""
        return [each for each in self.house.engine.problems.entries() if each.topic == "otel"]


@asynccontextmanager
async def exporting(
    folder: Path, provider: FakeProvider | None = None, *, mode: ReplyMode = ReplyMode.TAKES
) -> AsyncIterator[Exporting]:
    async with (
        receiving(mode, decode=decoded) as receiver,
        engine_harness(folder, provider or FakeProvider(completed)) as house,
    ):
        made = Exporting(house, receiver)
        await made.exporter.round()
        try:
            yield made
        finally:
            await made.exporter.finish(1.0)


def completed(agent: FakeAgent) -> None:
    agent.status, agent.result = "completed", "canary-result"


async def test_a_run_arrives_once_as_the_protocol_has_it(tmp_path: Path) -> None:
    async with exporting(tmp_path) as here:
        run_id = await here.run_one()
        (whole,) = await here.spans(1)
        (post,) = [span for span in here.receiver.bodies[0] if span.name == "POST"]
        await here.rounds_until(lambda: (here.position or Position(event=0)).event > 0, "the position")
        for _ in range(3):
            await here.exporter.round()
        assert len(here.receiver.bodies) == 1
        head = here.receiver.heads[0].lower()
    assert head.startswith("post /v1/traces http/1.1")
    assert "content-type: application/x-protobuf" in head
    assert "authorization: bearer canary-header" in head
    assert "x-scope: night" in head
    assert (whole.kind, post.kind, whole.parent, post.parent) == (3, 3, "", whole.span)
    assert (whole.trace, whole.error) == (post.trace, "")
    assert whole.attributes["nightdesk.run"] == run_id
    assert whole.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert whole.begin_ms <= post.end_ms <= whole.end_ms
    assert whole.about == {"service.name": "nightdesk", "service.version": "1", "host.name": "web1"}
    assert "canary" not in str(here.receiver.bodies)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


async def test_runs_from_before_spans_were_wanted_are_not_sent(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, FakeProvider(completed)) as house:
        await house.engine.wait((await house.launch(date="2026-10-01")).run.id)
    async with exporting(tmp_path) as here:
        run_id = await here.run_one()
        (whole,) = await here.spans(1)
        assert whole.attributes["nightdesk.run"] == run_id


async def test_after_an_older_database_was_put_back_its_next_run_is_sent(tmp_path: Path) -> None:
    replace_private(tmp_path / FILE, Position(event=1000, dropped=7).to_json())
    async with exporting(tmp_path) as here:
        assert here.position == Position(event=0, dropped=7)
        await here.run_one()
        await here.spans(1)


async def test_what_a_process_did_not_send_the_next_one_does_from_the_store(tmp_path: Path) -> None:
    async with exporting(tmp_path, mode=ReplyMode.HANGS) as here:
        here.deadline_s = 60
        run_id = await here.run_one()
        (first,) = await here.spans(1)
    assert len(here.agents) == 1
    async with exporting(tmp_path) as here:
        (again,) = await here.spans(1)
        assert again.attributes["nightdesk.run"] == run_id
        assert (again.trace, again.span) == (first.trace, first.span)
    async with exporting(tmp_path) as here:
        await here.exporter.round()
    assert here.receiver.bodies == [], "it is sent no more"


@pytest.mark.parametrize("mode", [ReplyMode.BREAKS, ReplyMode.CLOSES, ReplyMode.REDIRECTS, ReplyMode.HANGS])
async def test_a_receiver_that_takes_nothing_is_tried_again_and_gets_the_same_spans(
    tmp_path: Path, mode: ReplyMode
) -> None:
    async with exporting(tmp_path, mode=mode) as here:
        await here.run_one()
        await here.spans(2)
        await here.rounds_until(lambda: here.problems, "a problem")
        assert "spans of 1 or more runs wait" in here.problems[0].text
        assert "canary" not in here.problems[0].text
        here.receiver.mode = ReplyMode.TAKES
        await here.rounds_until(lambda: not here.problems, "no problem any more")
        assert len({(span.trace, span.span) for span in here.agents}) == 1
        assert here.position is not None
        assert here.position.dropped == 0


async def test_what_a_receiver_refuses_is_given_up_and_counted(tmp_path: Path) -> None:
    async with exporting(tmp_path, mode=ReplyMode.REFUSES) as here:
        await here.run_one()
        await here.rounds_until(lambda: (here.position or Position(event=0)).dropped == 1, "one that is given up")
        assert "answered 400: spans of 1 runs are lost" in here.problems[0].text
        here.receiver.mode = ReplyMode.TAKES
        second = await here.run_one("2026-11-02")
        await here.rounds_until(lambda: here.agents[-1].attributes["nightdesk.run"] == second, "the second run")
        assert len(here.agents) == 2


async def test_spans_that_a_receiver_says_it_did_not_take_are_counted(tmp_path: Path) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 2
    answer.partial_success.error_message = "canary"
    async with exporting(tmp_path) as here:
        here.receiver.answer = answer.SerializeToString()
        await here.run_one()
        await here.rounds_until(lambda: (here.position or Position(event=0)).dropped == 1, "one that is given up")
        assert "canary" not in str(here.problems)


async def test_an_answer_without_end_is_an_answer(tmp_path: Path) -> None:
    async with exporting(tmp_path, mode=ReplyMode.FLOODS) as here:
        await here.run_one()
        await here.spans(1)
        await here.rounds_until(lambda: (here.position or Position(event=0)).event > 0, "the position")
        assert not here.problems


async def test_runs_that_ended_a_day_ago_are_given_up(tmp_path: Path) -> None:
    async with exporting(tmp_path, mode=ReplyMode.BREAKS) as here:
        await here.run_one()
        await here.spans(1)
        here.clock.late_ms = 25 * 3_600_000
        await here.rounds_until(lambda: (here.position or Position(event=0)).dropped == 1, "one that is given up")


async def test_a_receiver_that_hangs_delays_neither_the_rounds_nor_a_cancel(tmp_path: Path) -> None:
    provider = FakeProvider(lambda agent: completed(agent) if len(provider.agents) == 1 else None)
    async with exporting(tmp_path, provider, mode=ReplyMode.HANGS) as here:
        engine, here.deadline_s = here.house.engine, 60
        engine.add_concern(Concern(name="otel", round=here.exporter.round, every_s=0.02))
        await here.run_one()
        await until(lambda: here.receiver.bodies, what="spans that hang")
        run = (await here.house.launch(date="2026-11-02")).run
        await here.house.reaches(run.id, State.RUNNING)
        before = engine.rounds["otel"]
        await until(lambda: engine.rounds["otel"] > before + 3)
        assert engine.lagging() == ()
        await engine.operations.stop(run.id, by=BY)
        await here.house.reaches(run.id, State.ENDED)
        assert len(here.receiver.bodies) == 1, "one request at a time"


async def test_many_runs_leave_in_requests_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.tracing.exporter.MOST_RUNS", 2)
    async with exporting(tmp_path) as here:
        runs = [await here.run_one(f"2026-11-{day:02d}") for day in range(1, 6)]
        found = await here.spans(5)
        assert [span.attributes["nightdesk.run"] for span in found] == runs
        assert [len(body) for body in here.receiver.bodies] == [4, 4, 2]


async def test_one_process_of_a_state_folder_sends(tmp_path: Path) -> None:
    async with exporting(tmp_path) as here:
        other = Exporting(here.house, here.receiver)
        await here.run_one()
        for _ in range(3):
            await other.exporter.round()
        assert here.receiver.bodies == []
        await here.exporter.finish(5.0)
        assert len(here.agents) == 1, "the last round sends what ended last"
        await here.exporter.round()
        await other.run_one("2026-11-02")
        await other.spans(2)
        await other.exporter.finish(5.0)


async def test_headers_that_cannot_be_used_are_told_once_and_quoted_nowhere(tmp_path: Path) -> None:
    async with exporting(tmp_path) as here:
        here.environment = {"HEADERS": "authorization=canary%0a"}
        await here.run_one()
        await here.exporter.round()
        assert here.problems[0].text.startswith("otel: header 1 in HEADERS cannot be used; accepted: NAME=VALUE")
        assert "canary" not in str(here.problems)
        here.environment = {}
        await here.exporter.round()
        assert "HEADERS, which otel.headers_env names, is not set" in here.problems[0].text
        here.environment = {"HEADERS": "a=b"}
        await here.spans(1)
        assert here.problems == []


async def test_settings_that_change_are_in_force_with_the_next_round(tmp_path: Path) -> None:
    async with exporting(tmp_path, mode=ReplyMode.BREAKS) as here:
        await here.run_one()
        await here.rounds_until(lambda: here.problems, "a problem")
        here.use = OtelSettings()
        await here.exporter.round()
        assert here.problems == []
        before = len(here.receiver.bodies)
        for _ in range(3):
            await here.exporter.round()
        assert len(here.receiver.bodies) == before
