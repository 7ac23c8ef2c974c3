"""Every fault of a single reply: what the client sees, and what the service really did."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx
import pytest

from console.simulator.faults import CallKind, FaultSpec, ReplyFault
from console.simulator.replies import GARBAGE_PAGE, WITHOUT_EFFECT
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import KEY, Caller, code
from tests.waiting import until_sync

LONG = Scenario(steps=10, step_seconds=10)
DISCONNECTED = (httpx.RemoteProtocolError, "disconnected without sending")
BROKEN: dict[ReplyFault, tuple[type[Exception], str]] = {
    ReplyFault.LOST_REPLY: DISCONNECTED,
    ReplyFault.DROPPED: DISCONNECTED,
    ReplyFault.RESET: (httpx.ReadError, "reset by peer"),
    ReplyFault.RESET_BEFORE: (httpx.ReadError, "reset by peer"),
    ReplyFault.HALF_HEADERS: DISCONNECTED,
    ReplyFault.HALF_BODY: (httpx.RemoteProtocolError, "without sending complete message body"),
    ReplyFault.GARBAGE_BYTES: (httpx.RemoteProtocolError, "illegal status line"),
    ReplyFault.SILENCE: (httpx.ReadTimeout, "timed out"),
    ReplyFault.SILENCE_BEFORE: (httpx.ReadTimeout, "timed out"),
}
"""The error that a client gets; all other faults end in a reply."""


def _broken(simulator: SimulatorThread, call: Callable[[Caller], object], fault: ReplyFault) -> None:
    """Make the call with a client that gives up early, and wait until the service has taken it."""
    kind, says = BROKEN[fault]

    def taken() -> int:
        return sum(simulator.state.calls(each) for each in CallKind)

    before = taken()
    impatient = Caller(simulator.url, timeout=0.2 if kind is httpx.ReadTimeout else 5.0)
    try:
        with pytest.raises(kind, match=says):
            call(impatient)
    finally:
        impatient.close()
    until_sync(lambda: taken() > before, what="the call is taken, also where the client gave up before")


@pytest.mark.parametrize("fault", BROKEN)
def test_a_launch_with_a_broken_reply_takes_effect_or_not(simulator: SimulatorThread, fault: ReplyFault) -> None:
    state = simulator.state
    state.set_faults({f"create.{fault}": 1})
    _broken(simulator, lambda caller: caller.create(LONG), fault)
    started = 0 if fault in WITHOUT_EFFECT else 1
    until_sync(lambda: (state.posts(KEY), state.started(KEY)) == (1, started))


@pytest.mark.parametrize("fault", BROKEN)
def test_a_cancel_with_a_broken_reply_takes_effect_or_not(
    simulator: SimulatorThread, caller: Caller, fault: ReplyFault
) -> None:
    run_id = caller.start(LONG)
    simulator.state.set_faults({f"cancel.{fault}": 1})
    _broken(simulator, lambda impatient: impatient.cancel(run_id), fault)
    cancels = 0 if fault in WITHOUT_EFFECT else 1
    until_sync(lambda: simulator.state.runs()[0].cancels == cancels)
    assert simulator.state.calls(CallKind.CANCEL) == 1


@pytest.mark.parametrize("fault", BROKEN)
def test_a_poll_after_a_broken_one_succeeds(simulator: SimulatorThread, caller: Caller, fault: ReplyFault) -> None:
    run_id = caller.start(LONG)
    simulator.state.set_faults({f"get.{fault}": 1})
    _broken(simulator, lambda impatient: impatient.get(run_id), fault)
    assert caller.shown(run_id)["status"] == "in_progress"


@pytest.mark.parametrize("fault", BROKEN)
def test_a_sandbox_is_created_or_not_whatever_the_client_sees(simulator: SimulatorThread, fault: ReplyFault) -> None:
    simulator.state.set_faults({f"env_create.{fault}": 1})
    _broken(simulator, lambda caller: caller.call("POST", "/environments"), fault)
    made = 0 if fault in WITHOUT_EFFECT else 1
    until_sync(lambda: simulator.state.environments.made == made)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_stream_can_break_before_its_first_byte(
    simulator: SimulatorThread, caller: Caller, fault: ReplyFault
) -> None:
    run_id = caller.start(LONG)
    simulator.state.set_faults({f"stream.{fault}": 1})
    _broken(simulator, lambda impatient: impatient.raw_stream(run_id), fault)


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
def test_a_launch_may_take_effect_with_a_useless_reply(
    caller: Caller, state: SimulatorState, fault: str, status: int, body: bytes | None
) -> None:
    state.set_faults([fault])
    reply = caller.create(LONG)
    assert reply.status_code == status
    assert body in (None, reply.content)
    assert state.started(KEY) == 1


@pytest.mark.parametrize("status", [307, 400, 402, 403, 404, 408, 409, 413, 422, 429, 499, 500, 502, 503, 504, 599])
def test_a_launch_may_be_refused_with_any_status(caller: Caller, state: SimulatorState, status: int) -> None:
    state.set_faults([f"create.{status}"])
    assert code(caller.create(LONG))[0] == status
    assert (state.posts(), state.started()) == (1, 0)


def test_a_success_may_lack_its_id(caller: Caller, state: SimulatorState) -> None:
    state.set_faults(["create.no_id"])
    reply = caller.create(LONG)
    assert (reply.status_code, reply.json()["status"], "id" in reply.json()) == (200, "in_progress", False)
    assert state.started() == 1


def test_clients_that_follow_a_redirect_are_counted(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.state.set_faults(["create.307"])
    reply = caller.create(LONG)
    assert simulator.state.calls("elsewhere") == 0
    httpx.post(simulator.url + reply.headers["location"], trust_env=False)
    assert simulator.state.calls("elsewhere") == 1


def test_429_names_its_pause_in_every_known_form(caller: Caller, state: SimulatorState) -> None:
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


def test_a_slow_call_takes_effect_at_once_and_a_late_one_later(simulator: SimulatorThread) -> None:
    """A late launch starts its run although its client has disconnected."""
    state = simulator.state
    impatient = Caller(simulator.url, timeout=0.1)
    state.set_faults({"create.slow": 0.3})
    with pytest.raises(httpx.ReadTimeout):
        impatient.create(LONG)
    until_sync(lambda: state.started() == 1)
    state.clear_faults()
    state.set_faults({"create.late": 1.5})
    with pytest.raises(httpx.ReadTimeout):
        impatient.create(LONG)
    until_sync(lambda: state.posts() == 2)
    assert state.started() == 1
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


def test_the_faults_of_a_scenario_count_over_the_repeats_of_its_launch(caller: Caller, state: SimulatorState) -> None:
    """Launch requests with the same `nightdesk-run` share their faults; another launch has its own."""
    scenario = Scenario(step_seconds=10, faults={"create.503_not_started": 1, "get.404_grace": 2})
    assert [caller.create(scenario).status_code for _ in range(2)] == [503, 200]
    other = caller.create(scenario, labels={"nightdesk-key": KEY, "nightdesk-run": "01k1"})
    assert other.status_code == 503
    run_id = state.runs()[0].id
    assert [caller.get(run_id).status_code for _ in range(3)] == [404, 404, 200]
    assert (state.posts(KEY), state.started(KEY)) == (3, 1)


def test_every_fault_has_a_test() -> None:
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
