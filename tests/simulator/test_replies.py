"""Every way in which one reply can go wrong: what the client sees, and what really happened on the other side."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx
import pytest

from console.simulator.faults import Call, FaultSpec, Manner
from console.simulator.replies import GARBAGE_PAGE, UNDONE
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.world import World
from tests.simulator.caller import KEY, Caller, code
from tests.waiting import until_sync

LONG = Scenario(steps=10, step_seconds=10)
HANGS_UP = (httpx.RemoteProtocolError, "disconnected without sending")
BROKEN: dict[Manner, tuple[type[Exception], str]] = {
    Manner.LOST_REPLY: HANGS_UP,
    Manner.DROPPED: HANGS_UP,
    Manner.RESET: (httpx.ReadError, "reset by peer"),
    Manner.RESET_BEFORE: (httpx.ReadError, "reset by peer"),
    Manner.HALF_HEADERS: HANGS_UP,
    Manner.HALF_BODY: (httpx.RemoteProtocolError, "without sending complete message body"),
    Manner.GARBAGE_BYTES: (httpx.RemoteProtocolError, "illegal status line"),
    Manner.SILENCE: (httpx.ReadTimeout, "timed out"),
    Manner.SILENCE_BEFORE: (httpx.ReadTimeout, "timed out"),
}
"""What a client meets; all other manners end in a reply."""


def _broken(simulator: SimulatorThread, call: Callable[[Caller], object], manner: Manner) -> None:
    kind, says = BROKEN[manner]
    impatient = Caller(simulator.url, timeout=0.2 if kind is httpx.ReadTimeout else 5.0)
    try:
        with pytest.raises(kind, match=says):
            call(impatient)
    finally:
        impatient.close()


@pytest.mark.parametrize("manner", BROKEN)
def test_a_create_whose_reply_breaks_started_or_did_not(simulator: SimulatorThread, manner: Manner) -> None:
    world = simulator.world
    world.set_faults({f"create.{manner}": 1})
    _broken(simulator, lambda caller: caller.create(LONG), manner)
    assert (world.posts(KEY), world.started(KEY)) == (1, 0 if manner in UNDONE else 1)


@pytest.mark.parametrize("manner", BROKEN)
def test_a_cancel_whose_reply_breaks_was_asked_or_was_not(
    simulator: SimulatorThread, caller: Caller, manner: Manner
) -> None:
    run_id = caller.start(LONG)
    simulator.world.set_faults({f"cancel.{manner}": 1})
    _broken(simulator, lambda impatient: impatient.cancel(run_id), manner)
    assert simulator.world.runs()[0].cancels == (0 if manner in UNDONE else 1)
    assert simulator.world.calls(Call.CANCEL) == 1


@pytest.mark.parametrize("manner", BROKEN)
def test_a_broken_poll_is_followed_by_a_good_one(simulator: SimulatorThread, caller: Caller, manner: Manner) -> None:
    run_id = caller.start(LONG)
    simulator.world.set_faults({f"get.{manner}": 1})
    _broken(simulator, lambda impatient: impatient.get(run_id), manner)
    assert caller.shown(run_id)["status"] == "in_progress"


@pytest.mark.parametrize("manner", BROKEN)
def test_a_sandbox_is_made_or_not_whatever_the_client_saw(simulator: SimulatorThread, manner: Manner) -> None:
    simulator.world.set_faults({f"env_create.{manner}": 1})
    _broken(simulator, lambda caller: caller.call("POST", "/environments"), manner)
    assert simulator.world.environments.made == (0 if manner in UNDONE else 1)


@pytest.mark.parametrize("manner", BROKEN)
def test_a_stream_can_break_before_its_first_byte(simulator: SimulatorThread, caller: Caller, manner: Manner) -> None:
    run_id = caller.start(LONG)
    simulator.world.set_faults({f"stream.{manner}": 1})
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
    caller: Caller, world: World, fault: str, status: int, body: bytes | None
) -> None:
    world.set_faults([fault])
    reply = caller.create(LONG)
    assert reply.status_code == status
    assert body in (None, reply.content)
    assert world.started(KEY) == 1


@pytest.mark.parametrize("status", [307, 400, 402, 403, 404, 408, 409, 413, 422, 429, 499, 500, 502, 503, 504, 599])
def test_a_create_may_be_refused_with_any_status(caller: Caller, world: World, status: int) -> None:
    world.set_faults([f"create.{status}"])
    assert code(caller.create(LONG))[0] == status
    assert (world.posts(), world.started()) == (1, 0)


def test_a_success_may_lack_its_id(caller: Caller, world: World) -> None:
    world.set_faults(["create.no_id"])
    reply = caller.create(LONG)
    assert (reply.status_code, reply.json()["status"], "id" in reply.json()) == (200, "in_progress", False)
    assert world.started() == 1


def test_a_redirect_leads_to_where_followers_are_counted(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.world.set_faults(["create.307"])
    reply = caller.create(LONG)
    assert simulator.world.calls("elsewhere") == 0
    httpx.post(simulator.url + reply.headers["location"], trust_env=False)
    assert simulator.world.calls("elsewhere") == 1


def test_429_names_its_pause_in_every_known_way(caller: Caller, world: World) -> None:
    def refused(fault: FaultSpec) -> httpx.Response:
        world.clear_faults()
        world.set_faults(fault)
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
    assert world.started() == 0


def test_a_slow_reply_is_done_at_once_and_a_late_one_only_later(simulator: SimulatorThread) -> None:
    """A late create starts its run though its client has gone long ago."""
    world = simulator.world
    impatient = Caller(simulator.url, timeout=0.1)
    world.set_faults({"create.slow": 0.3})
    with pytest.raises(httpx.ReadTimeout):
        impatient.create(LONG)
    assert world.started() == 1
    world.clear_faults()
    world.set_faults({"create.late": 0.3})
    with pytest.raises(httpx.ReadTimeout):
        impatient.create(LONG)
    assert (world.posts(), world.started()) == (2, 1)
    until_sync(lambda: world.started() == 2)
    impatient.close()


def test_a_reply_may_drip_and_may_be_huge(caller: Caller, world: World) -> None:
    run_id = caller.start(LONG)
    world.set_faults({"get.drip": {"first": 1, "value": 0.0001}})
    assert caller.shown(run_id)["id"] == run_id
    world.set_faults({"get.huge": 2})
    reply = caller.get(run_id)
    assert len(reply.content) > 2_000_000
    assert reply.json()["id"] == run_id


def test_a_scenario_brings_its_own_faults_counted_over_repeats_of_its_create(caller: Caller, world: World) -> None:
    """A client that repeats the create of one `nightdesk-run` meets the fault once; another launch meets its own."""
    scenario = Scenario(step_seconds=10, faults={"create.503_not_started": 1, "get.404_grace": 2})
    assert [caller.create(scenario).status_code for _ in range(2)] == [503, 200]
    other = caller.create(scenario, labels={"nightdesk-key": KEY, "nightdesk-run": "01k1"})
    assert other.status_code == 503
    run_id = world.runs()[0].id
    assert [caller.get(run_id).status_code for _ in range(3)] == [404, 404, 200]
    assert (world.posts(KEY), world.started(KEY)) == (3, 1)


def test_every_manner_is_played_by_some_test() -> None:
    replied = {Manner.GARBAGE, Manner.EMPTY, Manner.NO_ID, Manner.STATUS, Manner.STATUS_BUT_DONE, Manner.DRIP}
    replied |= {Manner.HUGE, Manner.SLOW, Manner.LATE, Manner.RETRY_AFTER, Manner.RETRY_AFTER_MS, Manner.RETRY_INFO}
    replied |= {Manner.RETRY_AFTER_DATE, Manner.RETRY_BARE}
    assert set(BROKEN) | replied == set(Manner)
