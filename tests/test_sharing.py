"""Every test is run once, and each process that shares them begins with its part of the longest."""

from __future__ import annotations

import pytest

from tests.sharing import LONGEST, dealt
from tests.tree import ROOT

NAMES = ["a", "b", "long::1", "long::2", "c", "d", "longest::1", "e", "short"]
"""Beside `longest` for three processes: each of them gets three tests."""


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 9, 12])
def test_every_test_is_run_once(workers: int) -> None:
    assert sorted(dealt(NAMES, workers, {"long::": 2, "longest::": 5, "short": 1})) == list(range(len(NAMES)))


def test_each_process_begins_with_its_part_of_the_longest() -> None:
    order = [NAMES[place] for place in dealt(NAMES, 3, {"long::": 2, "longest::": 5, "short": 1})]
    assert (order[0], order[3:5], order[6]) == ("longest::1", ["long::1", "long::2"], "short")


def test_the_process_with_the_least_to_do_gets_the_next_one() -> None:
    order = [NAMES[place] for place in dealt(NAMES, 2, {"longest::": 5, "long::": 2, "short": 1})]
    assert (order[0], order[4:7]) == ("longest::1", ["long::1", "long::2", "short"])


@pytest.mark.parametrize("start", LONGEST)
def test_the_longest_tests_exist(start: str) -> None:
    path, _, name = start.partition("::")
    assert (ROOT / path).exists()
    assert not name or f"def {name.partition('[')[0]}" in (ROOT / path).read_text(encoding="utf-8")
