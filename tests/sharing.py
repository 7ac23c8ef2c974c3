"""Shares the work among the processes of pytest-xdist: the compilation of the tests, and the tests themselves.

Every process imports all tests. In a fresh checkout each of them first compiles a part that the others then find.

The tests are ordered so that the processes end at about the same time: each begins with some of the longest ones; at
the end there are only short ones left to be stolen.

Kept apart because `conftest.py` loads it as a plugin.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest

from tests.tree import ROOT

LONGEST = {
    "tests/simulation/": 240,
    "tests/kills/test_kills.py::test_two_thousand": 120,
    "tests/races/test_key_race.py": 100,
    "tests/store/test_state_machine.py::test_no_sequence_of_acts_breaks_an_invariant[0]": 70,
    "tests/store/test_state_machine.py::test_no_sequence_of_acts_breaks_an_invariant[1]": 70,
    "tests/store/test_state_machine.py::test_no_sequence_of_acts_breaks_an_invariant[2]": 70,
    "tests/store/test_state_machine.py::test_no_sequence_of_acts_breaks_an_invariant[3]": 70,
    "tests/kills/test_system_calls.py": 70,
    "tests/faults/test_matrix.py::test_every_cell_has_the_expected_result[gemini": 60,
    "tests/faults/test_matrix.py::test_every_cell_has_the_expected_result[anthropic": 60,
    "tests/faults/test_matrix.py::test_every_cell_has_the_expected_result[openai": 60,
    "tests/hostile/test_text.py": 60,
    "tests/kills/test_kills.py::test_hundreds": 55,
    "tests/model/test_protocol.py": 30,
    "tests/races/test_cap_race.py": 30,
}
"""How long these tests take, in seconds, by the beginning of their names. Those of one entry stay together."""


def dealt(names: Sequence[str], workers: int, longest: Mapping[str, int]) -> list[int]:
    """The places of `names` in the order in which they are run.

    pytest-xdist gives each process a share of consecutive tests: each share gets the entry of `longest` that comes next
    where it has the least to do so far, then its part of the others.
    """
    shares: list[list[int]] = [[] for _ in range(workers)]
    seconds = [0] * workers
    others = dict.fromkeys(range(len(names)))
    for start in sorted(longest, key=lambda start: -longest[start]):
        found = [place for place in others if names[place].startswith(start)]
        if not found:
            continue
        least = seconds.index(min(seconds))
        shares[least] += found
        seconds[least] += longest[start]
        for place in found:
            del others[place]
    rest, order = list(others), list[int]()
    for number, share in enumerate(shares):
        whole = (len(names) - len(order)) // (workers - number)
        taken = max(0, whole - len(share))
        order += share + rest[:taken]
        del rest[:taken]
    return order + rest


def _is_compiled(name: str) -> bool:
    path = (ROOT / name.replace(".", "/")).with_suffix(".py")
    return any((path.parent / "__pycache__").glob(f"{path.stem}.*-pytest-*.pyc"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Imports this process's part of the tests that nobody has compiled yet."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if not number:
        return
    names = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "tests").rglob("test_*.py")
    )
    for name in names[int(number) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]:
        if not _is_compiled(name):
            # What is wrong with it is reported where its tests are collected.
            with suppress(Exception):
                importlib.import_module(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reorders the tests that are run, where several processes share them."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        items[:] = [items[place] for place in dealt([item.nodeid for item in items], workers, LONGEST)]
