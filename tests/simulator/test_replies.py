"""Every way in which one reply can go wrong: what the client sees, and what really happened on the other side."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx
import pytest

from console.simulator.faults import CallKind, FaultSpec, ReplyFault
from console.simulator.replies import GARBAGE_PAGE, UNDONE
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import KEY, Caller, code
from tests.waiting import until_sync

LONG = Scenario(steps=10, step_seconds=10)
HANGS_UP = (httpx.RemoteProtocolError, "disconnected without sending")
BROKEN: dict[ReplyFault, tuple[type[Exception], str]] = {
    ReplyFault.LOST_REPLY: HANGS_UP,
    ReplyFault.DROPPED: HANGS_UP,
    ReplyFault.RESET: (httpx.ReadError, "reset by peer"),
    ReplyFault.RESET_BEFORE: (httpx.ReadError, "reset by peer"),
    ReplyFault.HALF_HEADERS: HANGS_UP,
    ReplyFault.HALF_BODY: (httpx.RemoteProtocolError, "without sending complete message body"),
    ReplyFault.GARBAGE_BYTES: (httpx.RemoteProtocolError, "illegal status line"),
    ReplyFault.SILENCE: (httpx.ReadTimeout, "timed out"),
    ReplyFault.SILENCE_BEFORE: (httpx.ReadTimeout, "timed out"),
}
"""What a client meets; all other manners end in a reply."""


def _broken(simulator: SimulatorThread, call: Callable[[Caller], object], manner: ReplyFault) -> None:
    kind, says = BROKEN[manner]
    impatient = Caller(simulator.url, timeout=0.2 if kind is httpx.ReadTimeout else 5.0)
    try:
        with pytest.raises(kind, match=says):
            call(impatient)
    finally:
        impatient.close()


@pytest.mark.parametrize("manner", BROKEN)
def test_a_create_whose_reply_breaks_started_or_did_not(simulator: SimulatorThread, manner: ReplyFault) -> None:
    state = simulator.state
    state.set_faults({f"create.{manner}": 1})
    _broken(simulator, lambda caller: caller.create(LONG), manner)
    assert (state.posts(KEY), state.started(KEY)) == (1, 0 if manner in UNDONE else 1)


@pytest.mark.parametrize("manner", BROKEN)
def test_a_cancel_whose_reply_breaks_was_asked_or_was_not(
    simulator: SimulatorThread, caller: Caller, manner: ReplyFault
) -> None:
    run_id = caller.start(LONG)
    simulator.state.set_faults({f"cancel.{manner}": 1})
    _broken(simulator, lambda impatient: impatient.cancel(run_id), manner)
    assert simulator.state.runs()[0].cancels == (0 if manner in UNDONE else 1)
    assert simulator.state.calls(CallKind.CANCEL) == 1


@pytest.mark.parametrize("manner", BROKEN)
def test_a_broken_poll_is_followed_by_a_good_one(
    simulator: SimulatorThread, caller: Caller, manner: ReplyFault
) -> None:
    run_id = caller.start(LONG)
    simulator.state.set_faults({f"get.{manner}": 1})
    _broken(simulator, lambda impatient: impatient.get(run_id), manner)
    assert caller.shown(run_id)["status"] == "in_progress"


@pytest.mark.parametrize("manner", BROKEN)
def test_a_sandbox_is_made_or_not_whatever_the_client_saw(simulator: SimulatorThread, manner: ReplyFault) -> None:
    simulator.state.set_faults({f"env_create.{manner}": 1})
    _broken(simulator, lambda caller: caller.call("POST", "/environments"), manner)
    assert simulator.state.environments.made == (0 if manner in UNDONE else 1)


@pytest.mark.parametrize("manner", BROKEN)
def test_a_stream_can_break_before_its_first_byte(
    simulator: SimulatorThread, caller: Caller, manner: ReplyFault
) -> None:
    run_id = caller.start(LONG)
    simulator.state.set_faults({f"stream.{manner}": 1})
    _broken(simulator, lambda impatient: impatient.raw_stream(run_id), manner)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("create.garbage", 200, GARBAGE_PAGE),
        ("create.empty", 200, b""),
        ("create.503_but_started", 503, None),
        ("create.500_but_done", 500, None),
        ("create.307_but_done", 307, None),
    ],
)
def test_a_create_may_start_a_run_and_say_nonsense(
    caller: Caller, state: SimulatorState, fault: str, status: int, body: bytes | None
) -> None:
    state.set_faults([fault])
    reply = caller.create(LONG)
    assert reply.status_code == status
    assert body in (None, reply.content)
    assert state.started(KEY) == 1


@pytest.mark.parametrize("status", [307, 400, 402, 403, 404, 408, 409, 413, 422, 429, 499, 500, 502, 503, 504, 599])
def test_a_create_may_be_refused_with_any_status(caller: Caller, state: SimulatorState, status: int) -> None:
    state.set_faults([f"create.{status}"])
    assert code(caller.create(LONG))[0] == status
    assert (state.posts(), state.started()) == (1, 0)


def test_a_success_may_lack_its_id(caller: Caller, state: SimulatorState) -> None:
    state.set_faults(["create.no_id"])
    reply = caller.create(LONG)
    assert (reply.status_code, reply.json()["status"], "id" in reply.json()) == (200, "in_progress", False)
    assert state.started() == 1


def test_a_redirect_leads_to_where_followers_are_counted(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.state.set_faults(["create.307"])
    reply = caller.create(LONG)
    assert simulator.state.calls("elsewhere") == 0
    httpx.post(simulator.url + reply.headers["location"], trust_env=False)
    assert simulator.state.calls("elsewhere") == 1


def test_429_names_its_pause_in_every_known_way(caller: Caller, state: SimulatorState) -> None:
    def refused(fault: FaultSpec) -> httpx.Response:
        state.clear_faults()
        state.set_faults(fault)
        reply = caller.create(LONG)
        assert code(reply) == (429, "rate_limit_exceeded")
        return reply

    assert refused({"429.retry_after": 7}).headers["retry-after"] == "7"
    assert refused({"create.429.retry_after_ms": 1.5}).headers["retry-after-ms"] == "1500"
    detail = refused({"429.retryinfo": 53}).json()["error"]["details"][0]
    assert detail == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "53s"}
    date = parsedate_to_datetime(refused({"429.retry_after_date": 60}).headers["retry-after"])
    assert 50 < date.timestamp() - time.time() < 61
    bare = refused(["429.bare"])
    assert not any(name.startswith("retry") for name in bare.headers)
    assert state.started() == 0


def test_a_slow_reply_is_done_at_once_and_a_late_one_only_later(simulator: SimulatorThread) -> None:
    """A late create starts its run though its client has gone long ago."""
    state = simulator.state
    impatient = Caller(simulator.url, timeout=0.1)
    state.set_faults({"create.slow": 0.3})
    with pytest.raises(httpx.ReadTimeout):
        impatient.create(LONG)
    assert state.started() == 1
    state.clear_faults()
    state.set_faults({"create.late": 0.3})
    with pytest.raises(httpx.ReadTimeout):
        impatient.create(LONG)
    assert (state.posts(), state.started()) == (2, 1)
    until_sync(lambda: state.started() == 2)
    impatient.close()


def test_a_reply_may_drip_and_may_be_huge(caller: Caller, state: SimulatorState) -> None:
    run_id = caller.start(LONG)
    state.set_faults({"get.drip": {"first": 1, "value": 0.0001}})
    assert caller.shown(run_id)["id"] == run_id
    state.set_faults({"get.huge": 2})
    reply = caller.get(run_id)
    assert len(reply.content) > 2_000_000
    assert reply.json()["id"] == run_id


def test_a_scenario_brings_its_own_faults_counted_over_repeats_of_its_create(
    caller: Caller, state: SimulatorState
) -> None:
    """A client that repeats the create of one `nightdesk-run` meets the fault once; another launch meets its own."""
    scenario = Scenario(step_seconds=10, faults={"create.503_not_started": 1, "get.404_grace": 2})
    assert [caller.create(scenario).status_code for _ in range(2)] == [503, 200]
    other = caller.create(scenario, labels={"nightdesk-key": KEY, "nightdesk-run": "01k1"})
    assert other.status_code == 503
    run_id = state.runs()[0].id
    assert [caller.get(run_id).status_code for _ in range(3)] == [404, 404, 200]
    assert (state.posts(KEY), state.started(KEY)) == (3, 1)


def test_every_manner_is_played_by_some_test() -> None:
    replied = {
        ReplyFault.GARBAGE,
        ReplyFault.EMPTY,
        ReplyFault.NO_ID,
        ReplyFault.STATUS,
        ReplyFault.STATUS_BUT_DONE,
        ReplyFault.DRIP,
    }
    replied |= {
        ReplyFault.HUGE,
        ReplyFault.SLOW,
        ReplyFault.LATE,
        ReplyFault.RETRY_AFTER,
        ReplyFault.RETRY_AFTER_MS,
        ReplyFault.RETRY_INFO,
    }
    replied |= {ReplyFault.RETRY_AFTER_DATE, ReplyFault.RETRY_BARE}
    assert set(BROKEN) | replied == set(ReplyFault)
