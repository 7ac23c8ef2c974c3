"""Eight processes claim the same ten thousand keys in orders of their own, or one key at first use: one wins."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import closing
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

import pytest

from console.domain.launch import LaunchKind
from console.store.bootstrap import prepare_store
from tests.clock import ManualClock
from tests.races.claimers import PROVIDERS, claim_at_first_use, claim_shuffled
from tests.races.processes import FORKED, FRESH, race
from tests.reporting import report

PROCESSES = 8
KEYS = 10_000
ROUNDS = 60
LAUNCHED = "select count(*), count(distinct key) from runs where state = 'claimed'"


def test_each_of_ten_thousand_keys_is_launched_once(folder: Path) -> None:
    _shuffled(folder, rivals=3)


@pytest.mark.soak
def test_each_of_ten_thousand_keys_that_all_eight_claim_is_launched_once(folder: Path) -> None:
    _shuffled(folder, rivals=PROCESSES)


def _shuffled(folder: Path, *, rivals: int) -> None:
    """Each key is wanted by so many of the processes, and by others than its neighbour; at three kinds of services."""
    prepare_store(folder, now=ManualClock().now(), read_only=False, busy_ms=1_000)
    seed, began = random.randrange(2**32), time.monotonic()
    wanted = [[key for key in range(KEYS) if (key + number) % PROCESSES < rivals] for number in range(PROCESSES)]

    racers = [(folder, keys, seed + number, PROVIDERS[number % 3]) for number, keys in enumerate(wanted)]
    answers = race(claim_shuffled, racers)

    report(f"seed {seed}: {PROCESSES} processes, {KEYS} keys, {answers}, {time.monotonic() - began:.0f} s")
    # A key that is held by a launch at another provider is refused: what was asked for differs from what was launched.
    assert answers.keys() == {kind.value for kind in (LaunchKind.LAUNCHED, LaunchKind.SKIPPED, LaunchKind.REFUSED)}
    assert (answers[LaunchKind.LAUNCHED.value], sum(answers.values())) == (KEYS, rivals * KEYS)
    assert _launched(folder) == (KEYS, KEYS)
    assert _providers(folder) == set(PROVIDERS)


def test_at_first_use_one_of_eight_processes_wins(folder: Path) -> None:
    _rounds(folder.parent, FORKED)


@pytest.mark.soak
def test_at_first_use_one_of_eight_fresh_interpreters_wins(folder: Path) -> None:
    _rounds(folder.parent, FRESH)


def _rounds(base: Path, context: SpawnContext | ForkServerContext) -> None:
    began = time.monotonic()
    for number in range(ROUNDS):
        folder = base / f"round-{number}"
        answers = race(claim_at_first_use, [(folder,)] * PROCESSES, context)
        assert answers == {LaunchKind.LAUNCHED.value: 1, LaunchKind.SKIPPED.value: PROCESSES - 1}, f"round {number}"
        assert _launched(folder) == (1, 1)
    report(f"{ROUNDS} rounds of {PROCESSES} processes: one winner in each, {time.monotonic() - began:.0f} s")


def _launched(folder: Path) -> tuple[int, int]:
    """The number of claimed runs and of their keys."""
    with closing(sqlite3.connect(folder / "nightdesk.db")) as database:
        runs, keys = database.execute(LAUNCHED).fetchone()
    return runs, keys


def _providers(folder: Path) -> set[str]:
    """The providers at which a run was claimed."""
    with closing(sqlite3.connect(folder / "nightdesk.db")) as database:
        return {json.loads(text)["provider"] for (text,) in database.execute("select fingerprint from runs")}
