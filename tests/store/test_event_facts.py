"""Every fact that an event can have is known to the formatter: none reaches a person as a stored integer or word."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from console.domain.fact_text import HIDDEN_FACTS, PROCESS_FACTS, UNIT_FACTS, YES_NO_FACTS
from tests.tree import ROOT

TEXTS = frozenset(
    {
        *(
            "answer",
            "by",
            "day",
            "days",
            "differences",
            "note",
            "reason",
            "remote",
            "ruling",
            "sandbox",
            "trouble",
            "why",
        ),
        *("tries", "waited", "was", "up_to", "after", "service", "event"),
    }
)
"""Facts that are stored as the text, or the plain number, that people read."""
NOT_FACTS = frozenset({"run", "record"})


def facts() -> Iterator[tuple[str, str]]:
    """The names of the facts of the events that are written in the source of the store, with their place."""
    for path in sorted((ROOT / "console" / "store").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("write_event", "event_statement"):
                for keyword in node.keywords:
                    if keyword.arg is not None and keyword.arg not in NOT_FACTS:
                        yield keyword.arg, f"{path.name}:{node.lineno}"


def test_every_fact_has_a_form_for_people() -> None:
    known = UNIT_FACTS | YES_NO_FACTS | PROCESS_FACTS | HIDDEN_FACTS | TEXTS
    found = list(facts())
    assert len(found) > 20, "the calls are found"
    assert [each for each in found if each[0] not in known and not each[0].endswith("_ms")] == []
