"""The plan of the kills: every crash point of the protocol with every fault class that can occur there.

K1 to K18 are the crash points of a run from its claim to its end, as in the recovery table of the engine.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.kills.crash_injector import REQUEST, Point, When
from tests.kills.scenarios import (
    ADOPTABLE,
    CANCEL,
    CREATE,
    DELETE,
    GET,
    NONE,
    REFUSED,
    SANDBOX,
    SLOW,
    STREAM,
    UNPROVEN,
    FaultClass,
    RunScenario,
)

HOUR_MS = 3_600_000
BEFORE, INSIDE, AFTER = When.BEFORE, When.INSIDE, When.AFTER
ALL = (BEFORE, INSIDE, AFTER)

COMPLETES = (RunScenario.PLAIN,)
CUT = (RunScenario.OVERDUE, RunScenario.STOPPED)
STUBBORN = (RunScenario.STUBBORN,)
LOST = (RunScenario.BLIND,)
RULED = (RunScenario.NOT_LAUNCHED, RunScenario.ADOPTED, RunScenario.WRITTEN_OFF)
FROM_THE_START = (NONE, *SANDBOX, *CREATE, *GET, *STREAM)
WHILE_IT_RUNS = (NONE, *GET, *STREAM, *CANCEL)
WHILE_IT_STOPS = (NONE, *GET, *CANCEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashPoint:
    """One row of the plan."""

    name: str
    """K1 to K18."""
    points: tuple[Point, ...]
    """Where the first process dies; one of them in each trial."""
    scenarios: tuple[RunScenario, ...]
    faults: tuple[FaultClass, ...]
    then: tuple[Point, ...] = ()
    """Where the second process dies; empty: at a random step, or not at all."""
    shifts: bool = False
    """The clocks are an hour ahead in the processes after the first."""


def at(step: str, *whens: When, nth: int = 1) -> tuple[Point, ...]:
    """The points of one step."""
    return tuple(Point(step=step, when=when, nth=nth) for when in whens)


def row(
    name: str,
    points: tuple[Point, ...],
    scenarios: tuple[RunScenario, ...],
    faults: tuple[FaultClass, ...],
    then: tuple[Point, ...] = (),
    *,
    shifts: bool = False,
) -> CrashPoint:
    """One row, as it stands in a plan."""
    return CrashPoint(name=name, points=points, scenarios=scenarios, faults=faults, then=then, shifts=shifts)


PLAN = (
    row("K1", at("claim", BEFORE, INSIDE), COMPLETES, FROM_THE_START),
    row("K2", at("claim", AFTER) + at("record_sandbox", AFTER), COMPLETES, FROM_THE_START),
    row("K2", at("mark_sending", BEFORE, INSIDE), COMPLETES, FROM_THE_START),
    row("K3", at("prepare", BEFORE, AFTER) + at("record_sandbox", BEFORE, INSIDE), COMPLETES, FROM_THE_START),
    row("K4", at("mark_sending", AFTER) + at("create", BEFORE), COMPLETES + RULED, (NONE, *SANDBOX)),
    row("K4", at("mark_sending", AFTER) + at("create", BEFORE), (RunScenario.NOT_LAUNCHED,), DELETE),
    row("K5", at(REQUEST, BEFORE), COMPLETES + RULED, (NONE, *SANDBOX)),
    row("K5", at(REQUEST, BEFORE), (RunScenario.NOT_LAUNCHED,), DELETE),
    row("K6", at(REQUEST, INSIDE, AFTER), COMPLETES + RULED, (NONE, *SANDBOX, *UNPROVEN)),
    row("K6", at(REQUEST, INSIDE, AFTER), (RunScenario.NOT_LAUNCHED,), DELETE),
    row("K6", at("record_unconfirmed", *ALL), COMPLETES + RULED, UNPROVEN),
    row("K7", at("create", AFTER) + at("journal", BEFORE, INSIDE), COMPLETES + RULED, (NONE, SLOW, *SANDBOX)),
    row("K7", at("create", AFTER) + at("journal", BEFORE, INSIDE), (RunScenario.NOT_LAUNCHED,), DELETE),
    row("K7", at("record_rejected", *ALL) + at("create", AFTER), COMPLETES, (REFUSED,)),
    row("K7", at("record_not_sent", *ALL) + at("create", AFTER), COMPLETES, CREATE[-2:]),
    row("K8", at("journal", AFTER) + at("record_launched", BEFORE, INSIDE), COMPLETES, (NONE, SLOW, *SANDBOX, *STREAM)),
    row("K8", at("journal", AFTER) + at("record_launched", BEFORE, INSIDE), CUT, (*GET, *CANCEL)),
    row("K9", at("record_launched", AFTER) + at("get", BEFORE, AFTER), CUT, WHILE_IT_RUNS),
    row("K9", at("record_progress_of_many", *ALL), CUT, WHILE_IT_RUNS),
    row("K10", at("settle", BEFORE, INSIDE), CUT, WHILE_IT_STOPS),
    row("K10", at("settle", BEFORE, INSIDE), COMPLETES, (NONE, *GET)),
    row("K11", at("settle", AFTER) + at("log", BEFORE, nth=2), CUT, WHILE_IT_STOPS),
    row("K12", at("log", INSIDE, AFTER) + at("log", AFTER, nth=2), CUT, WHILE_IT_STOPS),
    row("K12", at("log", *ALL), CUT + COMPLETES, (NONE, *GET)),
    row("K13", at("record_launched", AFTER) + at("get", AFTER), (RunScenario.ENDLESS,), WHILE_IT_STOPS, shifts=True),
    row("K14", at("request_stop", *ALL) + at("cancel", BEFORE), CUT, WHILE_IT_STOPS),
    row("K15", at("cancel", AFTER) + at("record_stop_try", *ALL), CUT, WHILE_IT_STOPS),
    row("K16", at("discard", BEFORE, AFTER) + at("record_sandbox_deleted", *ALL), LOST, (NONE, *DELETE)),
    row("K16", at("discard", BEFORE) + at("record_sandbox_deleted", BEFORE), STUBBORN, (*GET, *CANCEL)),
    row("K17", at("discard", AFTER) + at("rule_not_launched", *ALL), (RunScenario.NOT_LAUNCHED,), UNPROVEN),
    row("K17", at("adopt", *ALL), (RunScenario.ADOPTED,), ADOPTABLE),
    row("K17", at("write_off", *ALL), (RunScenario.WRITTEN_OFF,), UNPROVEN),
    row("K18", at("claim", AFTER), COMPLETES, FROM_THE_START, at("take_over", *ALL)),
    row("K18", at("claim", AFTER), COMPLETES, (NONE, *SANDBOX), at("expire", *ALL), shifts=True),
    row(
        "K18",
        at("create", BEFORE),
        COMPLETES,
        (NONE, *SANDBOX),
        at("take_over", AFTER) + at("record_unconfirmed", *ALL),
    ),
    row("K18", at("journal", AFTER), COMPLETES + CUT, (NONE, *GET), at("take_over", AFTER) + at("adopt", *ALL)),
    row("K18", at("record_launched", AFTER), CUT, WHILE_IT_RUNS, at("take_over", *ALL) + at("get", BEFORE)),
    row("K18", at("request_stop", AFTER), CUT, WHILE_IT_STOPS, at("take_over", *ALL) + at("cancel", BEFORE)),
)

ALWAYS = ("announce", "claim", "take_over", "log", "beat")
"""Steps of most recoveries."""
SOMETIMES = (
    *("record_sandbox", "mark_sending", "record_unconfirmed", "record_launched", "record_progress_of_many", "adopt"),
    *("request_stop", "record_stop_try", "record_sandbox_deleted", "settle", "journal", "withdraw", "expire"),
    *("prepare", "create", "get", "cancel", "discard"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One launch whose processes are killed until a last one brings it to its end."""

    number: int
    cell: str
    row: CrashPoint
    scenario: RunScenario
    fault: FaultClass
    deaths: tuple[Point, ...]
    """Crash points of the first process, the second, …; one that comes to rest before its own ends the trial."""
    shifts_ms: tuple[int, ...]
    """How far the clocks are ahead in each process, the last one included."""

    def __str__(self) -> str:
        deaths = " ".join(map(str, self.deaths))
        return f"trial {self.number}: {self.cell} {self.scenario} deaths {deaths}"


def cells(plan: Sequence[CrashPoint] = PLAN) -> dict[str, list[tuple[CrashPoint, FaultClass]]]:
    """By crash point and fault class (`K4 create.503`): the rows of the plan that have both."""
    found: dict[str, list[tuple[CrashPoint, FaultClass]]] = {}
    for point in plan:
        for fault in point.faults:
            found.setdefault(f"{point.name} {fault.name}", []).append((point, fault))
    return found


def trials(seed: int, per_cell: int, plan: Sequence[CrashPoint] = PLAN) -> list[Trial]:
    """Every cell `per_cell` times, but at least once for each of its rows, with other points, scenarios and deaths.

    The seed also shuffles them, so that each share of the trials is like the whole.
    """
    planned: list[Trial] = []
    for index, (cell, rows) in enumerate(cells(plan).items()):
        for turn in range(max(per_cell, len(rows))):
            point, fault = rows[turn % len(rows)]
            dice = random.Random(f"{seed}/{len(planned)}")
            planned.append(_trial(dice, len(planned), cell, point, fault, index + turn // len(rows)))
    random.Random(seed).shuffle(planned)
    return planned


def _trial(dice: random.Random, number: int, cell: str, row: CrashPoint, fault: FaultClass, turn: int) -> Trial:
    deaths = [row.points[turn % len(row.points)]]
    if row.then:
        deaths.append(row.then[turn % len(row.then)])
    deaths += [_anywhere(dice) for _ in range(dice.choice((1, 2, 3, 3)) + 1 - len(deaths))]
    shift = HOUR_MS if row.shifts or dice.random() < 0.1 else 0
    return Trial(
        number=number,
        cell=cell,
        row=row,
        scenario=dice.choice(row.scenarios),
        fault=fault,
        deaths=tuple(deaths),
        shifts_ms=(0, *(shift for _ in deaths)),
    )


def _anywhere(dice: random.Random) -> Point:
    step, when = dice.choice(dice.choice((ALWAYS, ALWAYS, ALWAYS, SOMETIMES))), dice.choice(ALL)
    if when is INSIDE and step in ("prepare", "create", "get", "cancel", "discard"):
        when = AFTER
    return Point(step=step, when=when)
