"""Read the service's replies without trusting them: every field is optional and may hold anything.

How a run stands shows in two objects: its session, and the newest turn of the session's own agent. An `idle` session is
ready for input; whether its run has ended well is what the turn says. A word that is not known is treated as live,
because taking a run that goes on spending for ended would be the worse mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.domain.run import Ending
from console.domain.usage import Usage
from console.provider.contract import Launched, RemoteRun, StatusClass
from console.provider.http.errors import ErrorBody, Redact
from console.provider.http.json_narrowing import count, elements, labels_of, members, text
from console.provider.http.step_text import STATUS_LENGTH, unchanged
from console.provider.openai.items import Item, result_of, searches_of, steps_of

ERROR_LENGTH = 1_000

LIVE_TURNS = frozenset({"queued", "in_progress", "waiting"})
ENDED_TURNS: Mapping[str, Ending] = {
    "completed": Ending.OK,
    "failed": Ending.FAILED,
    "cancelled": Ending.CANCELLED,
    "canceled": Ending.CANCELLED,
}
SESSIONS = frozenset({"idle", "in_progress", "requires_action", "failed"})
BUDGET_REACHED = "budget_reached"
"""A status of sessions up to version 3.54 of the official client."""
MAX_OUTPUT_TOKENS = "max_output_tokens"
SETTING_UP = "environment_connection"
"""The required action that the service itself takes: it connects the sandbox."""

Json = Mapping[str, object]


def parse_error(value: object) -> ErrorBody | None:
    """Parse `{"error": {message, type, param, code}}`; None if it has neither a word nor a message.

    The code may be null; the type is taken instead.
    """
    error = members(members(value).get("error"))
    word, message = text(error.get("code"), 64) or text(error.get("type"), 64), text(error.get("message"), 1000)
    return ErrorBody(code=word, message=message) if word or message else None


def read_launched(value: object, session_id: str) -> Launched | None:
    """Read the reply to the message that starts a run: it has no body, or an object that is no error.

    The id of the run is that of the session, which is known before.
    """
    if value is not None and (not isinstance(value, dict) or not value or "error" in value):
        return None
    return Launched(remote_id=session_id, status="", prepared_id=session_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """How a run stands."""

    status: str
    """The service's word that decides, raw."""
    status_class: StatusClass
    ending: Ending | None = None


def session_state(session: Json, turn: Json | None) -> SessionState:
    """Judge a session by itself and by its newest root turn; None if it has none.

    Both may be of different moments, the session being the older one: an end counts only if both show it.
    """
    of_session, of_turn = _word(session), _word(turn or {}) if turn is not None else ""
    if of_session == BUDGET_REACHED:
        return SessionState(status=of_session, status_class=StatusClass.TERMINAL, ending=Ending.SERVER_LIMIT)
    if of_session not in SESSIONS or (turn is not None and of_turn not in LIVE_TURNS | ENDED_TURNS.keys()):
        unknown = of_session if of_session not in SESSIONS else of_turn
        return SessionState(status=unknown, status_class=StatusClass.UNKNOWN)
    if of_session == "failed":
        ending = _turn_ending(turn) if of_turn == "failed" else Ending.FAILED
        return SessionState(status=of_session, status_class=StatusClass.TERMINAL, ending=ending)
    if of_session == "requires_action" and _waits_for_client(session) and of_turn not in ("queued", "in_progress"):
        return SessionState(status=of_session, status_class=StatusClass.PARKED)
    if turn is None or of_turn in LIVE_TURNS or of_session == "in_progress":
        return SessionState(status=of_turn if of_turn in LIVE_TURNS else of_session, status_class=StatusClass.LIVE)
    return SessionState(status=of_turn, status_class=StatusClass.TERMINAL, ending=_turn_ending(turn))


def _word(value: Json) -> str:
    return text(value.get("status"), STATUS_LENGTH)


def _turn_ending(turn: Json | None) -> Ending:
    if members((turn or {}).get("error")).get("code") == MAX_OUTPUT_TOKENS:
        return Ending.INCOMPLETE
    return ENDED_TURNS[_word(turn or {})]


def _waits_for_client(session: Json) -> bool:
    """True if an action is required that nobody takes in an unattended run."""
    actions = [members(action).get("type") for action in elements(session.get("required_actions"))]
    return any(action != SETTING_UP for action in actions)


def is_root(turn: Json) -> bool:
    """True for a turn of the session's own agent."""
    return bool(turn) and turn.get("subagent_id") is None


def shows_start(session: Json, turn: Json | None) -> bool:
    """True if a session shows that something was started in it."""
    return turn is not None or _word(session) == "in_progress" or usage_of(session.get("usage")) is not None


def is_unstarted(session: Json, turn: Json | None) -> bool:
    """True for a session that waits for its first input. One may still arrive, or be shown later."""
    return not shows_start(session, turn) and _word(session) in ("idle", "requires_action")


def instructions_of(session: Json) -> str:
    """Return the system instruction, as far as a session repeats it."""
    return text(members(session.get("agent")).get("instructions"), 1 << 16)


def remote_run(
    session: Json, turn: Json | None, items: Sequence[Item], asked: str, redact: Redact = unchanged
) -> RemoteRun:
    """Return the run of a session. Raises ValueError if the reply is about another session or has no status.

    `redact` is applied to every text that is not the agent's own: statuses, errors, types of steps.
    """
    if not _word(session) or (turn is not None and not _word(turn)):
        raise ValueError("the reply has no status")
    if session.get("id", asked) != asked:
        raise ValueError("the reply is about another session")
    found, usage = session_state(session, turn), _run_usage(session, turn, searches_of(items))
    return RemoteRun(
        remote_id=asked,
        status=redact(found.status),
        status_class=found.status_class,
        ending=found.ending,
        usage=usage,
        labels=labels_of(session.get("metadata")),
        prepared_id=asked,
        is_unstarted=found.status_class is StatusClass.LIVE and is_unstarted(session, turn),
        steps=steps_of(items, redact),
        result=result_of(items, turn.get("id")) if turn is not None else "",
        errors=tuple(map(redact, _errors(session, turn or {}))),
    )


def usage_of(value: object) -> Usage | None:
    """Return the token counts; None if none are reported, or if one of them is no plausible count.

    The service counts what is cached as input and reasoning as output.
    """
    reported = members(value)
    given = {
        "total": reported.get("total_tokens"),
        "input": reported.get("input_tokens"),
        "output": reported.get("output_tokens"),
        "cached": members(reported.get("input_tokens_details")).get("cached_tokens"),
        "thought": members(reported.get("output_tokens_details")).get("reasoning_tokens"),
    }
    counts = {name: count(figure) for name, figure in given.items() if figure is not None}
    if None in counts.values():
        return None
    figures = {name: figure or 0 for name, figure in counts.items()}
    whole_output, thought = figures.get("output", 0), figures.get("thought", 0)
    total = max(figures.get("total", 0), figures.get("input", 0) + whole_output)
    if not total:
        return None
    return Usage(
        total=total,
        input=figures.get("input", 0),
        output=max(0, whole_output - thought),
        thought=min(thought, whole_output),
        cached=min(figures.get("cached", 0), figures.get("input", 0)),
    )


def _run_usage(session: Json, turn: Json | None, searches: int) -> Usage | None:
    """Return the larger of both, figure by figure: a turn leaves out other agents, a session may be behind."""
    told = [usage for usage in (usage_of(session.get("usage")), usage_of((turn or {}).get("usage"))) if usage]
    if not told:
        return None
    return told[0].highest(told[-1]).highest(Usage(searches=searches))


def _errors(session: Json, turn: Json) -> list[str]:
    """Return `code: message` of the turn, and what the session says if it is something else."""
    error = members(turn.get("error"))
    parts = [text(error.get(name), ERROR_LENGTH) for name in ("code", "message")]
    lines = [": ".join(filter(None, parts))]
    told = session.get("error")
    whole = text(told, ERROR_LENGTH) or text(members(told).get("message"), ERROR_LENGTH)
    lines += [whole] if whole and whole not in lines[0] else []
    return [text(line, ERROR_LENGTH) for line in lines if line]
