"""Breadth-first search through everything that can happen, so that a counter-example is as short as possible.

Keys affect each other only through the living processes, the kill switch and the room under the cap. So the steps of
one key are computed once for each of its states, and the product of the keys is explored by their numbers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import permutations
from typing import NamedTuple

from console.domain.run import State
from tests.invariants import Hold
from tests.model.claiming import claim_moves, decision_moves
from tests.model.guarding import guard_moves
from tests.model.others import operator_moves, service_moves, watch_moves
from tests.model.properties import broken, tidy
from tests.model.world import (
    NOWHERE,
    SHARED,
    Around,
    Bounds,
    KeyWorld,
    Life,
    Move,
    Mutations,
    Remote,
    Scene,
    start,
)

Said = str | tuple[Move, int]
"""A step: text for what befalls a process, or a move with the index of its key."""


class Node(NamedTuple):
    """One state of all keys (by their number) and processes."""

    keys: tuple[int, ...]
    around: Around
    deaths_left: int


class Way(NamedTuple):
    """A computed step of one key."""

    move: Move
    to: int
    holds: int
    """Holds that it takes or gives back."""
    broken: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """The result of one exploration."""

    states: int
    """Distinct states; those that differ only in the names of processes or keys count once."""
    steps: int
    key_states: int
    edges: frozenset[tuple[State, State]]
    """Edges between states of a run that occurred."""
    what: frozenset[str]
    """Steps that occurred."""
    broken: str | None = None
    trace: tuple[str, ...] = ()
    """The steps to the violation; empty where there is none."""


@dataclass
class Walk:
    """One exploration within bounds, with or without planted bugs."""

    bounds: Bounds
    mutations: Mutations = field(default_factory=Mutations)

    def __post_init__(self) -> None:
        self._scene = Scene(bounds=self.bounds, mutations=self.mutations)
        self._numbers: dict[KeyWorld, int] = {}
        self._worlds: list[KeyWorld] = []
        self._taken: list[int] = []
        self._ways: dict[tuple[int, Around], tuple[Way, ...]] = {}
        self._renaming = Renaming(self._worlds, self.bounds.processes)
        self._edges: set[tuple[State, State]] = set()
        self._what: set[str] = set()

    def run(self, *, most: int = 10_000_000) -> Walked:
        """Explores until nothing new is found or a property is violated. Raises RuntimeError after `most` states."""
        first = Node(
            (self._number(start(self.bounds)),) * self.bounds.keys,
            Around((Life.UP,) * self.bounds.processes),
            self.bounds.deaths,
        )
        came: dict[Node, tuple[Node, Said] | None] = {first: None}
        seen = {self._renaming.plain(first)}
        ahead, steps = deque([first]), 0
        while ahead:
            node = ahead.popleft()
            for line, after, wrong in self._next(node):
                steps += 1
                if wrong is not None:
                    return self._walked(came, steps, wrong, (*_trace(came, node), _line(line)))
                if after not in came and (plain := self._renaming.plain(after)) not in seen:
                    seen.add(plain)
                    came[after] = (node, line)
                    ahead.append(after)
            if len(came) > most:
                raise RuntimeError(f"more than {most} states: the bounds are too wide")
        return self._walked(came, steps, None, ())

    def _walked(
        self, came: dict[Node, tuple[Node, Said] | None], steps: int, wrong: str | None, trace: tuple[str, ...]
    ) -> Walked:
        return Walked(
            states=len(came),
            steps=steps,
            key_states=len(self._worlds),
            edges=frozenset(self._edges),
            what=frozenset(self._what),
            broken=wrong,
            trace=trace,
        )

    def _next(self, node: Node) -> list[tuple[Said, Node, str | None]]:
        found: list[tuple[Said, Node, str | None]] = []
        taken = sum(self._taken[number] for number in node.keys)
        cap = self.bounds.cap
        for place, number in enumerate(node.keys):
            for way in self._ways_of(number, node.around):
                if way.move.needs_room and cap is not None and taken >= cap:
                    continue
                keys = (*node.keys[:place], way.to, *node.keys[place + 1 :])
                # Keys are interchangeable: their order does not matter.
                after = Node(tuple(sorted(keys)), node.around, node.deaths_left)
                wrong = way.broken
                if wrong is None and cap is not None and taken + way.holds > cap and way.holds > 0:
                    wrong = f"I6: {taken + way.holds} holds under a cap of {cap}"
                found.append(((way.move, place), after, wrong))
        found += self._fate(node)
        return found

    def _fate(self, node: Node) -> list[tuple[Said, Node, str | None]]:
        found: list[tuple[Said, Node, str | None]] = []
        lives, paused = node.around
        for process, life in enumerate(lives):
            if self.bounds.hosts and life is not Life.UP:
                found.append((f"host {process} is back", self._with_life(node, process, Life.UP), None))
            if node.deaths_left and life is Life.UP and self.bounds.hosts:
                lapsed = self._with_life(node, process, Life.LAPSED)._replace(deaths_left=node.deaths_left - 1)
                found.append((f"the lease of host {process} runs out", lapsed, None))
            if node.deaths_left and life is Life.UP:
                dead = (*lives[:process], Life.DEAD, *lives[process + 1 :])
                keys = tuple(sorted(self._number(self._worlds[n].with_local(process, NOWHERE)) for n in node.keys))
                found.append((f"process {process} dies", Node(keys, Around(dead, paused), node.deaths_left - 1), None))
                if not self.bounds.lost_locks or Life.UNLOCKED in lives:
                    continue
                robbed = (*lives[:process], Life.UNLOCKED, *lives[process + 1 :])
                after = Node(node.keys, Around(robbed, paused), node.deaths_left - 1)
                found.append((f"process {process} loses its lock", after, None))
        if self.bounds.pauses:
            after = Node(node.keys, Around(lives, not paused), node.deaths_left)
            found.append(("operator: resume" if paused else "operator: pause", after, None))
        return found

    @staticmethod
    def _with_life(node: Node, process: int, life: Life) -> Node:
        lives = node.around.lives
        return node._replace(around=node.around._replace(lives=(*lives[:process], life, *lives[process + 1 :])))

    def _ways_of(self, number: int, around: Around) -> tuple[Way, ...]:
        known = self._ways.get((number, around))
        if known is None:
            known = self._ways[number, around] = tuple(self._worked_out(self._worlds[number], around))
        return known

    def _worked_out(self, key: KeyWorld, around: Around) -> list[Way]:
        found = []
        for move in self._moves(key, around):
            wrong = broken(self._scene, key, move, around)
            after = self._number(tidy(move.after))
            self._note(key, move)
            found.append(Way(move, after, self._taken[after] - self._taken[self._numbers[key]], wrong))
        return found

    def _moves(self, key: KeyWorld, around: Around) -> list[Move]:
        moves: list[Move] = []
        for process, life in enumerate(around.lives):
            if life is not Life.DEAD:
                moves += guard_moves(self._scene, key, process, around)
                moves += watch_moves(self._scene, key, process, around)
                moves += claim_moves(self._scene, key, process, around)
        moves += service_moves(key)
        moves += decision_moves(key, around)
        if self.bounds.operator:
            moves += operator_moves(self._scene, key)
        return moves

    def _note(self, key: KeyWorld, move: Move) -> None:
        self._what.add(move.what)
        for before, after in zip(key.rows, move.after.rows, strict=False):
            if before.state is not after.state:
                self._edges.add((before.state, after.state))

    def _number(self, key: KeyWorld) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._worlds)
            self._worlds.append(key)
            self._taken.append(sum(row.hold in (Hold.OPEN, Hold.SETTLED) for row in key.rows))
        return number


class Renaming:
    """Processes are alike, and so are keys: of all states that differ in names only, one is walked."""

    def __init__(self, worlds: list[KeyWorld], processes: int) -> None:
        self._worlds = worlds
        self._orders = tuple(permutations(range(processes)))
        self._sorting: dict[tuple[Life, ...], tuple[tuple[Life, ...], list[tuple[int, ...]]]] = {}
        self._renamed: dict[tuple[int, tuple[int, ...]], int] = {}
        self._numbers: dict[KeyWorld, int] = {}

    def plain(self, node: Node) -> Node:
        """The one state that stands for `node` and all that are like it."""
        lives, orders = self._sorted(node.around.lives)
        keys = min(tuple(sorted(self._number(number, order) for number in node.keys)) for order in orders)
        return Node(keys, Around(lives, node.around.paused), node.deaths_left)

    def _sorted(self, lives: tuple[Life, ...]) -> tuple[tuple[Life, ...], list[tuple[int, ...]]]:
        """The lives in order, and every renaming that puts them so; new name `i` was `order[i]`."""
        known = self._sorting.get(lives)
        if known is None:
            wanted = tuple(sorted(lives))
            orders = [order for order in self._orders if tuple(lives[old] for old in order) == wanted]
            known = self._sorting[lives] = (wanted, orders)
        return known

    def _number(self, number: int, order: tuple[int, ...]) -> int:
        known = self._renamed.get((number, order))
        if known is None:
            key = self._worlds[number]
            names = {old: new for new, old in enumerate(order)} | {None: None}
            rows = tuple(row._replace(owner=names[row.owner]) for row in key.rows)
            renamed = KeyWorld(rows, self._journals(key, order), tuple(key.locals[old] for old in order))
            known = self._renamed[number, order] = self._numbers.setdefault(renamed, len(self._numbers))
        return known

    @staticmethod
    def _journals(key: KeyWorld, order: tuple[int, ...]) -> tuple[Remote, ...]:
        """What is true at the service, with the journals renamed."""
        if not any(remote.journals not in ((), (SHARED,)) for remote in key.remotes):
            return key.remotes
        return tuple(
            remote._replace(journals=tuple(sorted(order.index(old) for old in remote.journals)))
            for remote in key.remotes
        )


def _trace(came: dict[Node, tuple[Node, Said] | None], node: Node) -> tuple[str, ...]:
    lines: list[str] = []
    step = came[node]
    while step is not None:
        node, line = step
        lines.append(_line(line))
        step = came[node]
    return tuple(reversed(lines))


def _line(said: Said) -> str:
    return said if isinstance(said, str) else said[0].line(said[1])
