"""The properties hold in every state that the processes can reach within the bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.run import NEXT, State
from tests.model.search import Walk, Walked
from tests.model.world import Bounds
from tests.reporting import report

WALKS = {
    "one key, two of three processes die or lose their lock": Bounds(deaths=2, attempts=1),
    "two keys, three processes": Bounds(keys=2, attempts=1, tries=1, deaths=1, operator=False),
    "two keys, room for one hold": Bounds(keys=2, attempts=2, tries=1, deaths=1, processes=2, operator=False, cap=1),
    "proposals and the kill switch": Bounds(attempts=1, tries=1, deaths=1, proposals=True, pauses=True),
    "sessions that show what was started in them": Bounds(attempts=1, tries=1, deaths=2, can_find=True),
    "sessions, run again by hand": Bounds(processes=2, tries=1, deaths=1, lost_locks=False, can_find=True),
    "run again by hand": Bounds(processes=2, tries=1, deaths=1, lost_locks=False),
    "tried again by itself, the prompt edited": Bounds(
        processes=2, tries=1, deaths=1, lost_locks=False, operator=False, retries=True, prompts=("a", "b")
    ),
}
FLEET = Bounds(processes=2, attempts=1, tries=1, deaths=1, lost_locks=False, operator=False, hosts=True)
FLEET_WALKS = {
    "two hosts, an operator, leases that lapse twice": replace(FLEET, tries=2, deaths=2, operator=True),
    "two hosts, leases that lapse three times": replace(FLEET, deaths=3),
    "three hosts": replace(FLEET, processes=3, deaths=2),
    "two hosts, two keys, the kill switch": replace(FLEET, keys=2, pauses=True),
    "two hosts, two keys, room for one hold": replace(FLEET, keys=2, attempts=2, cap=1),
    "two hosts, proposals and the kill switch": replace(FLEET, operator=True, proposals=True, pauses=True),
    "two hosts, tried again by itself": replace(FLEET, attempts=2, retries=True, prompts=("a", "b")),
    "two hosts, sessions": replace(FLEET, deaths=2, operator=True, can_find=True),
}
LONG_WALKS = {
    "two hosts, run again by hand": replace(FLEET, attempts=2, operator=True),
    "run again by hand, three processes, a lost lock": Bounds(tries=1, deaths=1),
    "two keys, two tries": Bounds(keys=2, attempts=1, deaths=1, operator=False, pauses=True),
    "edited prompts and the operator": Bounds(processes=2, tries=1, deaths=1, retries=True, prompts=("a", "b")),
}


def walked(bounds: Bounds) -> Walked:
    """The whole exploration. Fails with the shortest way to a violation."""
    found = Walk(bounds).run()
    trace = "\n".join(found.trace)
    assert found.broken is None, f"{found.broken}\n{trace}"
    report(f"{found.states} states, {found.steps} steps, {found.key_states} states of one key")
    return found


@pytest.fixture(scope="module")
def all_walks() -> dict[str, Walked]:
    return {name: walked(bounds) for name, bounds in WALKS.items()}


@pytest.fixture(scope="module")
def fleet_walks() -> dict[str, Walked]:
    return {name: walked(bounds) for name, bounds in FLEET_WALKS.items()}


@pytest.mark.parametrize("name", FLEET_WALKS)
def test_every_property_holds_between_hosts_with_leases(fleet_walks: dict[str, Walked], name: str) -> None:
    assert fleet_walks[name].broken is None


def test_enough_states_of_a_fleet_are_explored(fleet_walks: dict[str, Walked]) -> None:
    assert sum(found.states for found in fleet_walks.values()) >= 800_000
    steps = set().union(*(found.what for found in fleet_walks.values()))
    assert {"take_over", "adopts a late id", "finds its commit", "finds no commit of its own"} <= steps


@pytest.mark.parametrize("name", WALKS)
def test_every_property_holds_in_every_state(all_walks: dict[str, Walked], name: str) -> None:
    assert all_walks[name].broken is None


def test_enough_states_are_explored(all_walks: dict[str, Walked]) -> None:
    assert all_walks["two keys, three processes"].states >= 100_000


def test_every_edge_of_the_state_table_occurs(all_walks: dict[str, Walked]) -> None:
    """An edge that the program has and the model does not would be unproven."""
    table = {(before, after) for before, nexts in NEXT.items() for after in nexts}
    taken = set().union(*(found.edges for found in all_walks.values()))
    through_running = {(State.SENDING, State.STOPPING), (State.UNCONFIRMED, State.STOPPING)}
    assert taken - through_running == table


def test_every_recovery_action_occurs(all_walks: dict[str, Walked]) -> None:
    taken = set().union(*(found.what for found in all_walks.values()))
    assert {
        "recovers claimed: goes on",
        "recovers claimed: ended",
        "recovers sending: running",
        "recovers sending: stopping",
        "recovers sending: unconfirmed",
        "recovers running: goes on",
        "recovers stopping: goes on",
        "recovers unconfirmed: goes on",
        "recovers sending: goes on",
        "resolve: found",
        "resolve: fences it",
        "resolve: not launched",
    } <= taken


@pytest.mark.soak
@pytest.mark.parametrize("name", LONG_WALKS)
def test_every_property_holds_within_wide_bounds(name: str) -> None:
    walked(LONG_WALKS[name])
