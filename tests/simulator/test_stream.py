"""The event stream: whole, resumed, and with every fault that was seen of the live service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.simulator.faults import CallKind, Switch
from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import Caller, code, frames, kinds
from tests.waiting import until_sync

RUN = Scenario(steps=4, step_seconds=10, tokens_per_step=1000, cached_share=0.5, cancel_seconds=1)


@pytest.fixture
def impatient(simulator: SimulatorThread) -> Iterator[Caller]:
    """A client that gives up on a silent stream, long after everything has come that comes at all."""
    caller = Caller(simulator.url, timeout=1.0)
    yield caller
    caller.close()


@pytest.fixture
def ended(caller: Caller, state: SimulatorState) -> str:
    """A run that has ended, so that its stream is complete at once."""
    run_id = caller.start(RUN)
    state.advance(1000)
    return run_id


def _until_broken(chunks: Iterator[bytes], error: type[Exception]) -> str:
    """Return what arrived before the stream broke with `error`."""
    came = b""
    try:
        for chunk in chunks:
            came += chunk
    except error:
        return came.decode()
    raise AssertionError("the stream did not break")


def _events(text: str) -> list[dict[str, Any]]:
    """Return the events of the whole frames of a stream that was cut."""
    return [json.loads(data) for data in frames(text[: text.rfind("\n\n") + 2])]


def test_a_resumed_stream_continues_after_the_last_event(caller: Caller, ended: str) -> None:
    events = caller.events(ended)
    for seen in (0, 4, len(events) - 2):
        rest = caller.events(ended, last_event_id=events[seen]["event_id"])
        assert rest == events[seen + 1 :]
    assert code(caller.get(ended, stream="true", last_event_id="never-given")) == (400, "invalid_request")


def test_event_ids_are_unique_and_need_escaping_in_a_query(caller: Caller, ended: str) -> None:
    ids = [event["event_id"] for event in caller.events(ended)]
    assert len(set(ids)) == len(ids)
    assert set("".join(ids)) & set("+/=")


def test_a_step_starts_as_a_stub_and_its_contents_follow_in_deltas(caller: Caller, ended: str) -> None:
    events = caller.events(ended)
    starts = [event["step"] for event in events if event["event_type"] == "step.start"]
    assert starts[1] == {"type": "code_execution_call", "id": "call_1"}
    deltas = [event["delta"] for event in events if event["event_type"] == "step.delta" and event["index"] == 1]
    assert deltas[0]["arguments"]["code"].startswith("ls ")


def test_events_are_sent_as_they_fall_due_and_a_cancel_at_once(caller: Caller, state: SimulatorState) -> None:
    """No call is made meanwhile: the change of the state wakes the stream."""
    run_id = caller.start(RUN)
    heard: list[str] = []

    def listen() -> None:
        for chunk in caller.chunks(run_id):
            heard.append(chunk.decode())

    listener = threading.Thread(target=listen)
    listener.start()
    until_sync(lambda: "interaction.created" in "".join(heard))
    state.advance(10)
    until_sync(lambda: '"step.stop"' in "".join(heard))
    assert '"index": 2' not in "".join(heard)
    caller.cancel(run_id)
    state.advance(1)
    listener.join(10)
    text = "".join(heard)
    assert text.endswith("data: [DONE]\n\n")
    events = _events(text.removesuffix("event: done\ndata: [DONE]\n\n"))
    assert (kinds(events)[-1], events[-1]["interaction"]["status"]) == ("interaction.completed", "cancelled")
    assert events[-1]["interaction"]["usage"]["total_tokens"] == 1000


def test_a_disconnected_client_leaves_nothing_behind(simulator: SimulatorThread, caller: Caller) -> None:
    run_id = caller.start(RUN)
    for _ in range(3):
        chunks = caller.chunks(run_id)
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]  # a generator, seen as an iterator
    assert caller.events(caller.start(Scenario(step_seconds=0)))


def test_the_stream_of_a_queued_run_says_so(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(Scenario(queued_seconds=5, steps=1))
    state.advance(100)
    events = caller.events(run_id)
    assert (events[0]["interaction"]["status"], events[1]["status"]) == ("queued", "in_progress")
    assert kinds(events)[1] == "interaction.status_update"


def test_the_stream_ends_when_the_run_waits_for_its_client(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(Scenario(steps=2, step_seconds=1, ending=Ending.REQUIRES_ACTION))
    state.advance(10)
    last = caller.events(run_id)[-1]
    assert (last["event_type"], last["status"]) == ("interaction.status_update", "requires_action")


def test_without_event_ids_a_stream_always_starts_again(caller: Caller, state: SimulatorState, ended: str) -> None:
    events = caller.events(ended)
    state.set_faults(["sse.no_event_id"])
    bare = caller.events(ended, last_event_id=events[5]["event_id"])
    assert bare == [{name: value for name, value in event.items() if name != "event_id"} for event in events]


def test_ids_may_be_ignored_or_only_in_deltas(caller: Caller, state: SimulatorState, ended: str) -> None:
    events = caller.events(ended)
    state.set_faults(["sse.replay_all"])
    assert caller.events(ended, last_event_id=events[5]["event_id"]) == events
    state.set_faults(["sse.some_event_id"])
    assert {event["event_type"] for event in caller.events(ended) if "event_id" in event} == {"step.delta"}


def test_a_resumed_stream_may_send_two_events_and_nothing_more(
    caller: Caller, impatient: Caller, state: SimulatorState, ended: str
) -> None:
    events = caller.events(ended)
    state.set_faults(["sse.two_then_silence"])
    assert caller.events(ended) == events
    came = _until_broken(impatient.chunks(ended, last_event_id=events[2]["event_id"]), httpx.ReadTimeout)
    assert _events(came) == events[3:5]


def test_a_stream_may_end_with_a_bare_array_while_the_run_continues(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(RUN)
    state.set_faults({"sse.cut_600": 600})
    heard: list[bytes] = []
    state.set_faults({"sse.cut_600": 5})
    chunks = caller.chunks(run_id)
    heard.append(next(chunks))
    state.advance(6)
    heard.extend(chunks)
    *_, last = b"".join(heard).decode().split("\n\n")
    assert json.loads(last)[0]["error"]["code"] == 503
    assert state.live() == 1


def test_a_stream_may_be_a_bare_refusal_and_the_run_not_found_again(
    caller: Caller, state: SimulatorState, ended: str
) -> None:
    state.set_faults(["sse.bare_refusal"])
    raw = caller.raw_stream(ended).decode()
    assert json.loads(raw)["error"]["code"] == "prohibited_content"
    assert caller.get(ended).status_code == 404


def test_the_stream_of_a_cancelled_run_may_lack_its_end(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(RUN)
    state.set_faults(["sse.no_terminal_on_cancel"])
    caller.cancel(run_id)
    state.advance(10)
    raw = caller.raw_stream(run_id).decode()
    assert "interaction.completed" not in raw
    assert kinds(_events(raw))[0] == "interaction.created"


def test_a_stream_may_stall(impatient: Caller, state: SimulatorState, ended: str) -> None:
    state.set_faults(["sse.silence"])
    assert _until_broken(impatient.chunks(ended), httpx.ReadTimeout) == ""
    state.clear_faults()
    state.set_faults({"sse.stall": 2})
    assert len(_events(_until_broken(impatient.chunks(ended), httpx.ReadTimeout))) == 2


def test_a_stream_may_break_within_a_frame(caller: Caller, state: SimulatorState, ended: str) -> None:
    state.set_faults({"sse.drop": 2})
    came = _until_broken(caller.chunks(ended), httpx.RemoteProtocolError)
    assert len(_events(came)) == 2
    assert not came.endswith("\n\n")
    state.clear_faults()
    state.set_faults({"sse.reset": 2})
    _until_broken(caller.chunks(ended), httpx.ReadError)


def test_a_stream_may_end_with_an_error_event(caller: Caller, state: SimulatorState, ended: str) -> None:
    state.set_faults({"sse.error": 2})
    events = _events(caller.raw_stream(ended).decode())
    assert kinds(events)[2:] == ["error"]
    assert events[2]["error"]["code"] == "gateway_timeout"


def test_a_conforming_reader_ignores_the_noise(caller: Caller, state: SimulatorState, ended: str) -> None:
    """All events arrive, and some of an unknown type."""
    events = caller.events(ended)
    state.set_faults(["sse.noise"])
    text = caller.raw_stream(ended).decode()
    assert text.startswith("\ufeff: ")
    assert "\r\n" in text
    read = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        data = "\n".join(line.removeprefix("data:") for line in block.split("\n") if line.startswith("data:"))
        if data.strip() not in ("", "[DONE]", "this is no JSON"):
            read.append(json.loads(data))
    assert [event for event in read if event["event_type"] != "interaction.hint"] == events


def test_a_stream_may_arrive_byte_by_byte_and_begin_with_a_huge_line(caller: Caller, state: SimulatorState) -> None:
    ended = caller.start(Scenario(steps=1, step_seconds=0, result="ok"))
    events = caller.events(ended)
    state.set_faults({"sse.drip": 0})
    assert caller.events(ended) == events
    state.clear_faults()
    state.set_faults({"sse.huge_line": 1})
    assert caller.raw_stream(ended).index(b"\n\n") > 1_000_000


def test_usage_may_be_in_more_events_or_in_none(caller: Caller, state: SimulatorState, ended: str) -> None:
    state.set_faults(["sse.more_usage"])
    deltas = [event for event in caller.events(ended) if event["event_type"] == "step.delta"]
    totals = [delta["metadata"]["total_usage"]["total_tokens"] for delta in deltas]
    assert totals == sorted(totals)
    assert (totals[0], totals[-1]) == (0, 3000)
    state.clear_faults()
    state.set_faults(["usage.absent_midrun"])
    told = [event for event in caller.events(ended) if "usage" in json.dumps(event)]
    assert kinds(told) == ["interaction.completed"]
    state.set_faults(["usage.late"])
    assert "usage" not in caller.raw_stream(ended).decode()


def test_a_fault_may_strike_only_the_first_stream(caller: Caller, state: SimulatorState, ended: str) -> None:
    state.set_faults({"sse.no_event_id": 1})
    assert "event_id" not in caller.events(ended)[0]
    assert "event_id" in caller.events(ended)[0]
    assert state.calls(CallKind.STREAM) == 2


def test_a_foreground_run_ends_with_its_connection(caller: Caller, impatient: Caller, state: SimulatorState) -> None:
    for streams in (True, False):
        with pytest.raises(httpx.ReadTimeout):
            impatient.create(RUN, background=False, stream=streams)
    until_sync(lambda: len(state.runs()) == 2 and state.live() == 0)
    for run in state.runs():
        assert caller.get(run.id).status_code == 404


def test_a_foreground_run_cannot_be_cancelled(caller: Caller, impatient: Caller, state: SimulatorState) -> None:
    with pytest.raises(httpx.ReadTimeout):
        impatient.create(RUN, background=False)
    run_id = state.runs()[0].id
    assert caller.cancel(run_id).status_code in (400, 404)


def test_every_switch_of_streams_has_a_test() -> None:
    """Here, or for the streams of the session services with their providers."""
    folder = Path(__file__).parents[1]
    files = [Path(__file__), *folder.glob("provider/*/test_faults.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert not [switch for switch in Switch if switch.startswith("sse.") and f'"{switch}"' not in text]
