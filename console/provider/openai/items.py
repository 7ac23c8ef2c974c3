"""Turn each item of a session into one readable step: a command, a call of a tool, or what the model said.

Items are read by their structure, and items of unknown types stay visible. All texts are raw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from console.provider.contract import Step
from console.provider.http.errors import Redact
from console.provider.http.json_narrowing import compact, elements, members, text
from console.provider.http.step_text import (
    KIND_LENGTH,
    MAX_STEPS,
    STEP_LENGTH,
    content_text,
    kept_result,
    named_call,
    unchanged,
)

Item = Mapping[str, object]
_NOT_CONTENT = frozenset({"id", "type", "status", "turn_id", "call_id"})
_FROM_CLIENT = frozenset({"function_call_output", "computer_use_approval_request_result"})
"""Items that the client of the session has sent."""


def kind_of(item: Item) -> str:
    """Return the service's word for the type of an item; `unknown` if there is none."""
    return text(item.get("type"), KIND_LENGTH) or "unknown"


def is_own(item: Item) -> bool:
    """True for what the agent did or said. The messages of the user are left out: they hold the prompt."""
    kind = kind_of(item)
    return kind not in _FROM_CLIENT and not (kind == "message" and item.get("role") != "assistant")


def steps_of(items: Iterable[Item], redact: Redact = unchanged) -> tuple[Step, ...]:
    """Return the steps of an agent, numbered without the messages of the user."""
    own = [item for item in items if is_own(item)][:MAX_STEPS]
    return tuple(step_of(index, item, redact) for index, item in enumerate(own))


def step_of(index: int, item: Item, redact: Redact = unchanged) -> Step:
    """Return one item as a step. `redact` is applied to everything that is not the agent's own text."""
    return Step(
        index=index,
        kind=redact(kind_of(item)),
        text=item_text(item, redact),
        done=item.get("status") not in ("in_progress", "incomplete"),
    )


def item_text(item: Item, redact: Redact = unchanged) -> str:
    """Return what the agent did or said in at most STEP_LENGTH characters; empty if it has no content yet."""
    match kind_of(item):
        case "message":
            return content_text(item.get("content"))
        case "reasoning":
            return content_text(item.get("summary"))
        case "command_execution":
            return _joined(text(item.get("command"), STEP_LENGTH), _outcome(item))
        case "function_call":
            return named_call(_name(item), item.get("arguments"))
        case "mcp_call":
            error = redact(_shown(item["error"])) if item.get("error") else ""
            output = f"error: {error}" if error else _shown(item.get("output"))
            return _joined(named_call(_name(item), item.get("arguments")), output)
        case "web_search_call":
            return _search(members(item.get("action")))
        case _:
            rest = {name: value for name, value in item.items() if name not in _NOT_CONTENT}
            return redact(content_text(item.get("content")) or (compact(rest, STEP_LENGTH) if rest else ""))


def _joined(call: str, outcome: str) -> str:
    return text("\n".join(filter(None, (call, outcome))), STEP_LENGTH)


def _outcome(item: Item) -> str:
    """Return the output of a command; it starts with `exit N: ` if it failed."""
    output, code = text(item.get("output"), STEP_LENGTH), item.get("exit_code")
    failed = isinstance(code, int) and not isinstance(code, bool) and code != 0
    return f"exit {code}: {output}" if failed else output


def _name(item: Item) -> str:
    return text(item.get("name"), KIND_LENGTH) or kind_of(item).removesuffix("_call")


def _shown(value: object) -> str:
    if value is None:
        return ""
    return content_text(members(value).get("content", value)) or compact(value, STEP_LENGTH)


def _search(action: Item) -> str:
    queries = [query for query in elements(action.get("queries")) if isinstance(query, str)]
    words = (action.get("query"), *queries, action.get("url"), action.get("pattern"))
    shown = " ".join(text(word, STEP_LENGTH) for word in words if isinstance(word, str))
    return text(f"{text(action.get('type'), KIND_LENGTH) or 'search'} {shown}".strip(), STEP_LENGTH)


def searches_of(items: Iterable[Item]) -> int:
    """Return the number of web searches, which are billed by their number. Pages that are opened do not count."""
    calls = [item for item in items if kind_of(item) == "web_search_call"]
    return sum(members(call.get("action")).get("type", "search") == "search" for call in calls)


def result_of(items: Iterable[Item], turn_id: object) -> str:
    """Return the text with which a turn ended, as the official client joins it (openai 3.57.0, _result.py).

    Comments that the model makes while it works are not part of it.
    """
    texts: list[str] = []
    for item in items:
        is_answer = kind_of(item) == "message" and item.get("role") == "assistant" and item.get("phase") != "commentary"
        if is_answer and item.get("turn_id") == turn_id and item.get("status") == "completed":
            pieces = [members(piece) for piece in elements(item.get("content"))]
            texts += [str(piece.get("text", "")) for piece in pieces if piece.get("type") == "output_text"]
    return kept_result("".join(texts))


def inputs_of(items: Iterable[Item]) -> tuple[str, ...]:
    """Return the prompts, as far as the items repeat them."""
    given = [content_text(item.get("content")) for item in items if kind_of(item) == "message" and not is_own(item)]
    return tuple(filter(None, given))
