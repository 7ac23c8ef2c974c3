"""What events add up to: usage, money, steps, the result and errors. Each counts once, however often it is read."""

from __future__ import annotations

import pytest

from console.domain.usage import Price, Units, Usage
from console.provider.anthropic.history import SessionHistory
from console.provider.anthropic.replies import request_usage, session_usage
from console.provider.http.step_text import unchanged

SNAPSHOT = {
    "input_tokens": 12_000,
    "cache_read_input_tokens": 340_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 28_000, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 9_400,
    "active_seconds": 412.5,
    "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0},
    "list_cost": {"amount": "30", "currency": "USD"},
}
REQUEST = {
    "input_tokens": 900,
    "cache_read_input_tokens": 41_000,
    "cache_creation_input_tokens": 2_600,
    "output_tokens": 700,
}


def event(number: int, kind: str, **more: object) -> dict[str, object]:
    return {"id": f"sevt_{number}", "type": kind, "processed_at": f"2026-11-27T10:00:{number:02}Z", **more}


def request(number: int) -> dict[str, object]:
    return event(number, "span.model_request_end", model_usage=REQUEST)


def snapshot(number: int) -> dict[str, object]:
    return event(number, "session.usage", usage=SNAPSHOT)


def fed(*events: dict[str, object]) -> SessionHistory:
    history = SessionHistory()
    history.feed(events, unchanged)
    return history


def test_input_is_what_was_neither_read_from_nor_written_to_the_cache() -> None:
    usage = session_usage(SNAPSHOT)
    assert usage == Usage(
        total=389_400,
        input=380_000,
        output=9_400,
        cached=340_000,
        cache_write=28_000,
        searches=3,
        active_ms=412_500,
        told_micro=300_000,
    )
    assert Units(cached_weight_milli=100).of(usage) == 8_340
    price = Price(
        input_micro=2_000_000,
        cached_micro=200_000,
        output_micro=10_000_000,
        currency="USD",
        search_micro=10_000,
        hour_micro=80_000,
    )
    untold = session_usage({name: value for name, value in SNAPSHOT.items() if name != "list_cost"})
    assert untold is not None
    assert price.cost(untold) == pytest.approx(295_000, abs=200)
    assert price.cost(usage) == 300_000


def test_both_kinds_of_cache_writing_count() -> None:
    usage = session_usage({"cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 7}})
    assert usage is not None
    assert (usage.input, usage.cache_write) == (12, 12)


@pytest.mark.parametrize("reported", [None, {}, [], "many", {"input_tokens": 0, "output_tokens": 0}])
def test_zeros_are_no_report(reported: object) -> None:
    assert session_usage(reported) is None


@pytest.mark.parametrize("figure", [-1, 1.5e300, "many", [], True])
def test_one_implausible_figure_makes_all_untrustworthy(figure: object) -> None:
    assert session_usage({**SNAPSHOT, "output_tokens": figure}) is None
    assert request_usage({**REQUEST, "output_tokens": figure}) is None


@pytest.mark.parametrize(
    ("amount", "told"),
    [("30", 300_000), ("0.5", 5_000), ("0", None), (30, None), ("-3", None), ("1e3", None), ("9" * 30, None)],
)
def test_money_is_told_in_cents(amount: object, told: int | None) -> None:
    usage = session_usage({**SNAPSHOT, "list_cost": {"amount": amount, "currency": "USD"}})
    assert usage is not None
    assert usage.told_micro == told


def test_model_requests_count_after_the_newest_snapshot_and_each_once() -> None:
    history = fed(request(1), snapshot(2), request(3), request(3))
    history.feed((request(3), snapshot(2), request(4)), unchanged)
    usage = history.usage
    assert usage is not None
    own = request_usage(REQUEST)
    assert own is not None
    assert usage.total == 389_400 + 2 * own.total
    assert (usage.output, usage.cached, usage.told_micro) == (9_400 + 1_400, 340_000 + 82_000, 300_000)


def test_a_request_that_is_listed_late_is_within_the_snapshot() -> None:
    history = fed(snapshot(5))
    history.feed((request(3),), unchanged)
    assert history.usage is not None
    assert history.usage.total == 389_400


def test_a_history_without_figures_has_no_usage() -> None:
    assert fed(event(1, "agent.thinking")).usage is None


def test_steps_keep_their_places() -> None:
    history = fed(
        event(1, "agent.thinking"),
        event(2, "agent.tool_use", name="bash", input={"command": "ls -l"}, evaluated_permission="allow"),
        event(3, "agent.tool_result", content=[{"type": "text", "text": "no such file"}], is_error=True),
        event(4, "agent.mcp_tool_use", name="search", input={"query": "errors"}),
        event(5, "agent.message", content=[{"type": "text", "text": "Done."}]),
    )
    found = [(step.index, step.kind, step.text) for step in history.steps]
    assert found == [
        (0, "thinking", ""),
        (1, "tool_use", "ls -l"),
        (2, "tool_result", "error: no such file"),
        (3, "mcp_tool_use", "search query=errors"),
        (4, "message", "Done."),
    ]
    again = history.feed((event(6, "agent.new_kind", note="unknown"),), unchanged)
    assert [(told.step.index, told.step.text) for told in again if told.step] == [(5, '{"note":"unknown"}')]


def test_the_result_is_what_was_said_after_the_last_tool() -> None:
    history = fed(
        event(1, "agent.message", content=[{"type": "text", "text": "I begin."}]),
        event(2, "agent.tool_use", name="bash", input={}),
        event(3, "agent.tool_result", content=[]),
        event(4, "agent.message", content=[{"type": "text", "text": "All "}, {"type": "text", "text": "is well."}]),
        event(5, "agent.message", content=[{"type": "text", "text": "Bye."}]),
    )
    assert history.result == "All is well.\nBye."


def test_an_event_that_waits_is_one_step_and_said_once() -> None:
    waiting: dict[str, object] = {
        "id": "sevt_1",
        "type": "agent.message",
        "processed_at": None,
        "content": "All is well.",
    }
    history = fed(waiting)
    history.feed((waiting, event(1, "agent.message", content="All is well.")), unchanged)
    assert (len(history.steps), history.result) == (1, "All is well.")


def test_errors_that_the_service_retries_are_no_errors_of_the_run() -> None:
    def error(number: int, retry: str) -> dict[str, object]:
        told = {"type": "model_overloaded", "message": f"busy {number}", "retry_status": {"type": retry}}
        return event(number, "session.error", error=told)

    assert fed(error(1, "retrying"), error(2, "exhausted"), error(3, "terminal")).errors == [
        "model_overloaded: busy 2",
        "model_overloaded: busy 3",
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        7,
        [],
        {},
        {"id": "sevt_1"},
        {"id": 7, "type": "agent.message"},
        {"id": "sevt 1", "type": "agent.message", "processed_at": "2026-11-27T10:00:00Z"},
        {"id": "sevt_1", "type": "agent.message", "processed_at": "2026-11-27T10:00:00Z", "content": {"text": 7}},
        {"id": "sevt_1", "type": "session.status_idle", "processed_at": 9, "stop_reason": "end_turn"},
        {"id": "sevt_1", "type": "session.usage", "processed_at": "2026-11-27T10:00:00Z", "usage": [1]},
        {"id": "sevt_1", "type": "session.error", "processed_at": "2026-11-27T10:00:00Z", "error": "gone"},
        {"id": "sevt_1", "type": "agent.tool_use", "processed_at": "9999-99-99", "input": [], "name": {}},
    ],
)
def test_nothing_in_an_event_breaks_the_reader(hostile: object) -> None:
    history = SessionHistory()
    history.feed((hostile, hostile), unchanged)
    assert history.usage is None
