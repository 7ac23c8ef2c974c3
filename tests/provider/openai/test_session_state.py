"""What a session and its turn mean together: every pair of their words, and what the pair is read from."""

from __future__ import annotations

import httpx
import pytest

from console.domain.run import Ending
from console.domain.usage import Price, Units, Usage
from console.provider.contract import NotFound, ProviderError, StatusClass, Unavailable
from console.provider.openai.adapter import UNREAD_ENDS
from console.provider.openai.replies import is_unstarted, remote_run, session_state, usage_of
from tests.provider.openai.examples import SESSION, Recorded, error, message, page, provider, session, turn

LIVE, PARKED, TERMINAL, UNKNOWN = StatusClass.LIVE, StatusClass.PARKED, StatusClass.TERMINAL, StatusClass.UNKNOWN
FUNCTION, CONNECT = {"type": "function_call"}, {"type": "environment_connection"}
TOO_LONG = {"code": "max_output_tokens", "message": "It was too long."}
BROKEN = {"code": "sandbox_error", "message": "The sandbox is gone."}

TABLE = [
    # turn, session, class, word, ending
    (None, session(), LIVE, "idle", None),
    (None, session("in_progress"), LIVE, "in_progress", None),
    (None, session("requires_action", required_actions=[CONNECT]), LIVE, "requires_action", None),
    (None, session("failed"), TERMINAL, "failed", Ending.FAILED),
    (turn("queued"), session(), LIVE, "queued", None),
    (turn("queued"), session("in_progress"), LIVE, "queued", None),
    (turn("in_progress"), session(), LIVE, "in_progress", None),
    (turn("in_progress"), session("in_progress"), LIVE, "in_progress", None),
    (turn("in_progress"), session("requires_action", required_actions=[FUNCTION]), LIVE, "in_progress", None),
    (turn("waiting"), session(), LIVE, "waiting", None),
    (turn("waiting"), session("requires_action", required_actions=[FUNCTION]), PARKED, "requires_action", None),
    (
        turn("waiting"),
        session("requires_action", required_actions=[{"type": "mcp_approval_request"}, CONNECT]),
        PARKED,
        "requires_action",
        None,
    ),
    (
        turn("waiting"),
        session("requires_action", required_actions=[{"type": "computer_use_approval_request"}]),
        PARKED,
        "requires_action",
        None,
    ),
    (turn("waiting"), session("requires_action", required_actions=[CONNECT]), LIVE, "waiting", None),
    (turn("waiting"), session("requires_action", required_actions=[{"type": "new"}]), PARKED, "requires_action", None),
    (turn("completed"), session(), TERMINAL, "completed", Ending.OK),
    (turn("cancelled"), session(), TERMINAL, "cancelled", Ending.CANCELLED),
    (turn("failed", error=TOO_LONG), session(), TERMINAL, "failed", Ending.INCOMPLETE),
    (turn("failed", error=TOO_LONG), session("failed"), TERMINAL, "failed", Ending.INCOMPLETE),
    (turn("failed", error=BROKEN), session(), TERMINAL, "failed", Ending.FAILED),
    (turn("failed"), session("failed", error="lost"), TERMINAL, "failed", Ending.FAILED),
    (turn("completed"), session("failed", error="lost"), TERMINAL, "failed", Ending.FAILED),
    (turn("in_progress"), session("failed"), TERMINAL, "failed", Ending.FAILED),
    (turn("completed"), session("in_progress"), LIVE, "in_progress", None),
    (turn("cancelled"), session("in_progress"), LIVE, "in_progress", None),
    (
        turn("cancelled"),
        session("requires_action", required_actions=[CONNECT]),
        TERMINAL,
        "cancelled",
        Ending.CANCELLED,
    ),
    (turn("completed"), session("budget_reached"), TERMINAL, "budget_reached", Ending.SERVER_LIMIT),
    (turn("in_progress"), session("budget_reached"), TERMINAL, "budget_reached", Ending.SERVER_LIMIT),
    (turn("resting"), session(), UNKNOWN, "resting", None),
    (turn("completed"), session("hibernating"), UNKNOWN, "hibernating", None),
    (None, session("hibernating"), UNKNOWN, "hibernating", None),
]


@pytest.mark.parametrize(("of_turn", "of_session", "meaning", "word", "ending"), TABLE)
def test_every_pair_of_words(of_turn: object, of_session: object, meaning: object, word: str, ending: object) -> None:
    found = session_state(of_session, of_turn)  # type: ignore[arg-type]  # the table holds both in one tuple
    assert (found.status_class, found.status, found.ending) == (meaning, word, ending)
    run = remote_run(of_session, of_turn, (), SESSION)  # type: ignore[arg-type]  # the same
    assert (run.status_class, run.status, run.ending) == (meaning, word, ending)


def test_only_a_session_without_any_sign_of_a_start_is_unstarted() -> None:
    used = {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}
    assert is_unstarted(session(), None)
    assert is_unstarted(session("requires_action", required_actions=[CONNECT]), None)
    assert not is_unstarted(session(), turn("queued"))
    assert not is_unstarted(session("in_progress"), None)
    assert not is_unstarted(session(usage=used), None)
    assert not is_unstarted(session("hibernating"), None)


def test_the_usage_of_the_service_and_its_price() -> None:
    told = {
        "input_tokens": 52_000,
        "input_tokens_details": {"cached_tokens": 40_000},
        "output_tokens": 6_100,
        "output_tokens_details": {"reasoning_tokens": 2_800},
        "total_tokens": 58_100,
    }
    usage = usage_of(told)
    assert usage == Usage(total=58_100, input=52_000, cached=40_000, thought=2_800, output=3_300)
    assert usage is not None
    assert Units().of(usage) == 2_210
    price = Price(input_micro=2_000_000, cached_micro=200_000, output_micro=12_000_000, currency="USD")
    assert price.cost(usage) == 105_200


@pytest.mark.parametrize(
    "told",
    [None, {}, [], "x", {"total_tokens": 0, "input_tokens": 0}, {"total_tokens": -5}, {"input_tokens": "many"}],
)
def test_what_is_no_usage(told: object) -> None:
    assert usage_of(told) is None


def test_the_larger_figure_of_session_and_turn_counts() -> None:
    of_turn = {"input_tokens": 10, "output_tokens": 90, "total_tokens": 100}
    of_session = {"input_tokens": 60, "output_tokens": 20, "total_tokens": 80}
    run = remote_run(session(usage=of_session), turn(usage=of_turn), (), SESSION)
    assert run.usage == Usage(total=100, input=60, output=90)


async def test_an_end_is_read_from_the_session_first_and_then_from_the_turn() -> None:
    service = Recorded(session=session(), turns=page(turn()), items=page(message("Done.")))
    run = await provider(service).get(SESSION)
    assert (run.ending, run.result) == (Ending.OK, "Done.")
    assert service.paths() == [f"GET sessions/{SESSION}{rest}" for rest in ("", "/turns", "/items")]


async def test_the_root_turn_is_found_behind_those_of_other_agents() -> None:
    others = [turn("completed", id=f"turn_s{number}", subagent_id="sub_1") for number in range(20)]
    service = Recorded(session=session(), turns=[page(*others, has_more=True), page(turn("cancelled"))], items=page())
    run = await provider(service).get(SESSION)
    assert run.ending is Ending.CANCELLED
    assert "after=turn_s19" in str(service.requests[2].url)


@pytest.mark.parametrize(
    "wrong",
    [
        {"session": session(id="sess_other"), "turns": page()},
        {"session": {"id": SESSION}, "turns": page()},
        {"session": session(), "turns": page({"id": "turn_6"})},
        {"session": session(), "turns": {"object": "list"}},
        {"session": [], "turns": page()},
        {"session": httpx.Response(200, content=b"<html>"), "turns": page()},
    ],
)
async def test_a_reply_that_is_no_answer_is_no_end(wrong: dict[str, object]) -> None:
    with pytest.raises(Unavailable):
        await provider(Recorded(**wrong)).get(SESSION)


async def test_a_session_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        await provider(Recorded(session=error(404))).get(SESSION)
    with pytest.raises(NotFound):
        await provider(Recorded(session=session(), turns=error(404))).get(SESSION)


async def test_an_end_counts_without_its_items_after_some_attempts() -> None:
    service = Recorded(session=session(), turns=page(turn()), items=error(403))
    adapter = provider(service)
    for _ in range(UNREAD_ENDS - 1):
        with pytest.raises(ProviderError):
            await adapter.get(SESSION)
    run = await adapter.get(SESSION)
    assert (run.ending, run.result, run.steps) == (Ending.OK, "", ())


async def test_a_broken_connection_does_not_count_as_items_that_cannot_be_read() -> None:
    service = Recorded(session=session(), turns=page(turn()), items=httpx.ReadError("reset"))
    adapter = provider(service)
    for _ in range(UNREAD_ENDS + 2):
        with pytest.raises(ProviderError):
            await adapter.get(SESSION)


async def test_texts_of_errors_are_those_of_the_turn_and_of_the_session() -> None:
    service = Recorded(
        session=session("failed", error="The sandbox was lost."), turns=page(turn("failed", error=BROKEN))
    )
    service.answers["items"] = page()
    run = await provider(service).get(SESSION)
    assert run.errors == ("sandbox_error: The sandbox is gone.", "The sandbox was lost.")
