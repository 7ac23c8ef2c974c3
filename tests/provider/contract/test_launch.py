"""A launch, of every service: at most one run, a verdict that never frees the key of a run that started, and the proof.

The simulator knows what it has really started, whatever it has told the adapter.
"""

from __future__ import annotations

import pytest

from console.provider.contract import (
    Absent,
    Fenced,
    Found,
    Launched,
    LaunchOrder,
    LostLaunch,
    NotSent,
    ProviderError,
    RateLimited,
    Rejected,
    Unknown,
    Unsupported,
    Verdict,
)
from console.provider.services import traits_of
from console.provider.traits import Prepares
from console.simulator.faults import FaultSpec
from tests.provider.contract.services import LABELS, RUN_KEY, ContractHarness

NETWORK_FAULTS = [
    *("lost_reply", "dropped", "reset", "reset_before", "half_headers", "half_body", "garbage", "garbage_bytes"),
    *("empty", "no_id", "huge"),
]
SILENT_FAULTS = ["silence", "silence_before", "drip"]
STATUSES = [
    300,
    307,
    400,
    401,
    402,
    403,
    404,
    405,
    408,
    409,
    413,
    416,
    418,
    422,
    429,
    451,
    499,
    500,
    502,
    503,
    504,
    599,
]


def test_the_traits_are_those_of_the_kind(harness: ContractHarness) -> None:
    assert harness.provider.traits is traits_of(harness.service.kind, harness.service.launch)


async def test_what_is_prepared_does_nothing_until_it_is_started(harness: ContractHarness) -> None:
    order = await harness.prepared()
    assert order.prepared_id is not None
    assert harness.state.started() == 0
    assert await harness.provider.prepared_exists(order.prepared_id)
    if harness.provider.traits.prepares is Prepares.SESSION:
        shown = await harness.provider.get(order.prepared_id)
        assert shown.is_unstarted
        assert shown.ending is None
    assert isinstance(await harness.provider.create(order), Launched)
    assert (harness.state.posts(RUN_KEY), harness.state.started(RUN_KEY)) == (1, 1)


async def test_nothing_starts_in_what_was_discarded(harness: ContractHarness) -> None:
    order = await harness.prepared()
    assert order.prepared_id is not None
    await harness.provider.discard(order.prepared_id)
    await harness.provider.discard(order.prepared_id)
    assert not await harness.provider.prepared_exists(order.prepared_id)
    assert isinstance(await harness.provider.create(order), Rejected)
    assert harness.state.started() == 0


async def test_what_was_prepared_and_never_started_is_listed(harness: ContractHarness) -> None:
    unused = await harness.prepared()
    used = await harness.launched(labels={**LABELS, "nightdesk-run": "01k0000000000000000000run2"})
    if not harness.provider.traits.can_find_launch:
        with pytest.raises(Unsupported):
            await harness.provider.unstarted()
        return
    listed = {left.prepared_id: dict(left.labels) for left in await harness.provider.unstarted()}
    assert listed[unused.prepared_id or ""] == LABELS
    if harness.provider.traits.prepares is Prepares.SESSION:
        assert set(listed) == {unused.prepared_id}
        assert used not in listed


async def judged(harness: ContractHarness, faults: FaultSpec) -> tuple[LaunchOrder, Verdict]:
    """Return the verdict of one start under `faults`, after checking it against the state of the service."""
    order = await harness.prepared()
    harness.state.set_faults(faults)
    verdict = await harness.provider.create(order)
    harness.state.clear_faults()
    assert harness.state.posts(RUN_KEY) <= 1
    match verdict:
        case NotSent() | RateLimited() | Rejected():
            assert harness.state.started(RUN_KEY) == 0
        case Launched():
            assert harness.state.started(RUN_KEY) == 1
    return order, verdict


async def resolved(harness: ContractHarness, order: LaunchOrder) -> None:
    """Check what the service says of a launch without an answer against what it has really started."""
    lost = LostLaunch(prepared_id=order.prepared_id, labels=order.labels, sent_ms=0)
    if not harness.provider.traits.can_find_launch:
        with pytest.raises(Unsupported):
            await harness.provider.resolve(lost)
        return
    resolution = await harness.provider.resolve(lost)
    started = harness.state.started(RUN_KEY)
    match resolution:
        case Found(remote_id=remote_id):
            assert started == 1
            assert not (await harness.provider.get(remote_id)).is_unstarted
        case Fenced():
            assert started == 0
            assert isinstance(await harness.provider.create(order), Rejected), "a late request finds nothing"
            assert harness.state.started(RUN_KEY) == 0
        case Absent():
            assert started == 0


async def test_a_fence_is_shown_again(harness: ContractHarness) -> None:
    """The engine asks again where it could not store the proof; a person may ask too."""
    order = await harness.prepared()
    lost = LostLaunch(prepared_id=order.prepared_id, labels=order.labels, sent_ms=0)
    if harness.provider.traits.prepares is Prepares.SESSION:
        assert isinstance(await harness.provider.resolve(lost), Fenced)
        assert isinstance(await harness.provider.resolve(lost), Fenced)


async def test_a_deletion_of_which_no_answer_came_at_all_is_a_fence(harness: ContractHarness) -> None:
    order = await harness.prepared()
    lost = LostLaunch(prepared_id=order.prepared_id, labels=order.labels, sent_ms=0)
    if harness.provider.traits.prepares is Prepares.SESSION:
        harness.state.set_faults(["env_delete.lost_reply"])
        with pytest.raises(ProviderError):
            await harness.provider.resolve(lost)
        assert harness.state.sessions.deleted == [order.prepared_id]
        assert isinstance(await harness.provider.resolve(lost), Fenced)


async def test_what_somebody_else_deleted_proves_nothing(harness: ContractHarness) -> None:
    order = await harness.prepared()
    lost = LostLaunch(prepared_id=order.prepared_id, labels=order.labels, sent_ms=0)
    if harness.provider.traits.prepares is Prepares.SESSION:
        harness.state.sessions.delete(order.prepared_id or "")
        assert await harness.provider.resolve(lost) == Absent()


@pytest.mark.parametrize("fault", NETWORK_FAULTS)
async def test_a_start_whose_answer_is_lost(harness: ContractHarness, fault: str) -> None:
    order, verdict = await judged(harness, [f"create.{fault}"])
    if not isinstance(verdict, Launched):  # some services accept a launch without a word
        assert isinstance(verdict, Unknown)
        await resolved(harness, order)


@pytest.mark.parametrize("deadline_s", [0.4])
@pytest.mark.parametrize("fault", SILENT_FAULTS)
async def test_a_start_that_is_never_answered(harness: ContractHarness, fault: str) -> None:
    order, verdict = await judged(harness, {f"create.{fault}": {"value": 1.0}})
    if fault == "drip" and isinstance(verdict, Launched):
        return  # an answer without a body has nothing that could arrive slowly
    assert isinstance(verdict, Unknown)
    await resolved(harness, order)


@pytest.mark.parametrize("body", ["own", "err.html", "err.empty"])
@pytest.mark.parametrize("status", STATUSES)
async def test_each_status_of_a_start(harness: ContractHarness, status: int, body: str) -> None:
    _, verdict = await judged(harness, [f"create.{status}", *([body] if body != "own" else [])])
    if body != "own":
        assert isinstance(verdict, Unknown), "only an error of the service is its word"
    elif status == 429:
        assert isinstance(verdict, RateLimited)
    elif status in harness.service.refusals:
        assert isinstance(verdict, Rejected)
    else:
        assert isinstance(verdict, Unknown)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504])
async def test_an_error_of_a_launch_that_started_is_unknown(harness: ContractHarness, status: int) -> None:
    order, verdict = await judged(harness, [f"create.{status}_but_done"])
    assert isinstance(verdict, Unknown)
    assert harness.state.started(RUN_KEY) == 1
    await resolved(harness, order)


async def test_a_rate_limit_names_its_wait(harness: ContractHarness) -> None:
    _, verdict = await judged(harness, {"create.429.retry_after": {"value": 7.0}})
    assert isinstance(verdict, RateLimited)
    assert verdict.retry_after_s == pytest.approx(7.0, abs=1.0)


async def test_a_repeated_start_starts_nothing_twice(harness: ContractHarness) -> None:
    if not harness.provider.traits.start_repeats:
        return
    order = await harness.prepared()
    first, second = await harness.provider.create(order), await harness.provider.create(order)
    assert first == second
    assert harness.state.started(RUN_KEY) == 1
