"""A key that is not written down is not found, and one that cannot be remapped is in somebody's way."""

from __future__ import annotations

from tests.key_table import bindings, table, told


def test_the_readme_shows_the_keys_that_exist() -> None:
    assert told() == table(), "python -m tests.key_table writes the table"


def test_every_binding_has_an_id_and_says_what_it_does() -> None:
    nameless = [(cls.__name__, b.key) for cls, b in bindings() if not b.id or "." not in b.id or not b.tooltip]
    assert not nameless


def test_one_id_means_one_thing() -> None:
    """Remapping goes by id, so an id that two classes share must do the same in both."""
    meanings: dict[str, set[str]] = {}
    for _, binding in bindings():
        meanings.setdefault(binding.id or "", set()).add(binding.tooltip)
    assert not {identity: tooltips for identity, tooltips in meanings.items() if len(tooltips) > 1}
