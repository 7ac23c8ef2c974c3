"""Rules that a new screen can break unnoticed: ids, tooltips, neighbouring keys, names that Textual uses."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest
from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

import console.ui
from console.ui.base_screen import WRITING

MOVES = {"j", "k", "g", "G", "h", "l"}
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
MEANT = {"_fatal_error"}
"""Overridden on purpose."""
DANGEROUS = {"run.cancel", "all.kill_switch", "run.settle", "run.approve", "run.decline"}


def nodes() -> list[type[DOMNode]]:
    """Every app, screen and widget of ours."""
    found: dict[str, type[DOMNode]] = {}
    for module in pkgutil.walk_packages(console.ui.__path__, "console.ui."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, (App, Screen, Widget)) and member.__module__.startswith("console.ui"):
                found[f"{member.__module__}.{member.__qualname__}"] = member
    return list(found.values())


def bindings() -> Iterator[tuple[type[DOMNode], Binding]]:
    for node in nodes():
        for binding in node.__dict__.get("BINDINGS", ()):
            assert isinstance(binding, Binding), f"{node.__name__} has a binding without an id: {binding}"
            yield node, binding


def test_every_binding_has_an_id_a_label_and_a_tooltip() -> None:
    for node, binding in bindings():
        assert binding.id, (node, binding)
        assert binding.description, (node, binding)
        assert len(binding.tooltip) > 3, (node, binding)


def test_one_id_means_one_action_everywhere() -> None:
    actions: dict[str, tuple[str, str]] = {}
    for _, binding in bindings():
        assert binding.id is not None
        assert actions.setdefault(binding.id, (binding.key, binding.action)) == (binding.key, binding.action)


def test_no_key_means_two_things_on_one_screen() -> None:
    for node in nodes():
        keys = [key for binding in node.__dict__.get("BINDINGS", ()) for key in binding.key.split(",")]
        assert len(keys) == len(set(keys)), node


def test_no_dangerous_key_is_a_move_or_its_shift_or_next_to_a_key_that_moves_rows() -> None:
    for _, binding in bindings():
        if binding.id in DANGEROUS:
            key = binding.key
            assert key not in MOVES
            assert key.swapcase() not in MOVES
            assert not {"j", "k"} & neighbours(key.lower()), binding


def neighbours(key: str) -> set[str]:
    row = next(row for row in KEYBOARD if key in row)
    at = row.index(key)
    return set(row[max(0, at - 1) : at + 2])


def test_all_actions_that_write_are_known_to_the_read_only_console() -> None:
    named = {
        binding.action.removeprefix("perform('").removesuffix("')")
        for _, binding in bindings()
        if binding.id and binding.id.partition(".")[0] in ("run", "all", "task")
    }
    assert named - {"detail", "copy", "unmark", "prompt"} <= WRITING


ASSIGNED = re.compile(r"self\.(_[a-z]\w*)(?:: [^=\n]+)? = |^    (?:async )?def (_[a-z]\w*)\(", re.MULTILINE)


def private_names(node: type) -> set[str]:
    return {name for pair in ASSIGNED.findall(inspect.getsource(node)) for name in pair if name}


@pytest.mark.parametrize("node", nodes(), ids=lambda node: node.__name__)
def test_no_private_name_of_ours_hides_one_of_textuals(node: type[DOMNode]) -> None:
    theirs: set[str] = set()
    for base in node.__mro__:
        if base.__module__.startswith("textual."):
            theirs |= private_names(base) | {name for name in vars(base) if name.startswith("_")}
    assert private_names(node) & theirs <= MEANT


def test_where_we_lean_on_a_private_name_textual_still_has_it() -> None:
    for name in MEANT | {"_exception", "_close_messages_no_wait"}:
        assert hasattr(App, name) or f"self.{name}" in inspect.getsource(App)
