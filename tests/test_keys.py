"""Every key binding is documented, has an id by which it can be remapped, and means one thing."""

from __future__ import annotations

from console.config.key_bindings import KEY_IDS, collisions, is_key, split_keys
from tests.key_table import KEYS_PAGE, README, all_keys, bindings, key_ids, main_keys, written, written_ids


def test_the_pages_show_the_keys_that_exist() -> None:
    assert written(KEYS_PAGE) == all_keys(), "python -m tests.key_table writes the tables"
    assert written(README) == main_keys(), "python -m tests.key_table writes the tables"


def test_every_binding_has_an_id_and_a_tooltip() -> None:
    nameless = [(cls.__name__, b.key) for cls, b in bindings() if not b.id or "." not in b.id or not b.tooltip]
    assert not nameless


def test_one_id_means_one_thing() -> None:
    """Keys are remapped by id, so an id that two classes share must do the same in both."""
    meanings: dict[str, set[str]] = {}
    for _, binding in bindings():
        meanings.setdefault(binding.id or "", set()).add(binding.tooltip)
    assert not {identity: tooltips for identity, tooltips in meanings.items() if len(tooltips) > 1}


def test_a_config_is_checked_against_the_keys_that_exist() -> None:
    assert written_ids() == key_ids(), "python -m tests.key_table writes the table"
    assert all(is_key(key) for keys, _ in KEY_IDS.values() for key in split_keys(keys))


def test_no_key_means_two_things_on_one_screen() -> None:
    assert collisions({identity: keys for identity, (keys, _) in KEY_IDS.items()}) == []
