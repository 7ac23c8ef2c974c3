"""Rows of the live table move as little as possible."""

from __future__ import annotations

from console.domain.run import RunId, State
from console.engine.models import Snapshot
from console.ui.state.row_order import SEPARATOR, RowOrder, marked_in_order
from tests.ui import samples

A, B, C, D = (samples.run(number).id for number in (1, 2, 3, 4))


def snapshot(*live: RunId, ended: tuple[RunId, ...] = ()) -> Snapshot:
    number = {A: 1, B: 2, C: 3, D: 4}
    return Snapshot(
        taken=samples.NOW,
        live=tuple(samples.run(number[each]) for each in live),
        recent=tuple(samples.run(number[each], State.ENDED) for each in ended),
    )


def order(*live: RunId, ended: tuple[RunId, ...] = ()) -> RowOrder:
    return RowOrder.of(snapshot(*live, ended=ended), RowOrder(), frozen=False)


def test_ended_runs_are_below_a_separator() -> None:
    assert order(A, B, ended=(C,)).ids == (A, B, SEPARATOR, C)
    assert order(A).ids == (A,)


def test_what_waits_for_a_person_is_the_first_row() -> None:
    runs = (samples.run(1), samples.unconfirmed(2), samples.run(3), samples.proposal(4))
    ids = RowOrder.of(Snapshot(taken=samples.NOW, live=runs), RowOrder(), frozen=False).ids
    assert ids == (D, B, A, C)


def test_frozen_rows_stay_and_new_ones_come_last() -> None:
    before = order(A, B, C)
    assert RowOrder.of(snapshot(D, C, A), before, frozen=True).ids == (A, C, D)
    assert RowOrder.of(snapshot(D, C, A), before, frozen=False).ids == (D, C, A)


def test_moving_skips_the_separator_and_stops_at_the_ends() -> None:
    rows = order(A, B, ended=(C, D))
    assert rows.moved(B, 1) == C
    assert rows.moved(C, -1) == B
    assert rows.moved(A, -1) == A
    assert rows.moved(A, 99) == D
    assert rows.first() == A


def test_from_a_row_whose_run_has_gone_a_move_takes_the_run_there() -> None:
    assert order(A, B, C).moved(D, 1, from_row=1) == B
    assert order(A).moved(None, -1, from_row=7) == A
    assert RowOrder().moved(None, 1) is None
    assert RowOrder().first() is None


def test_marks_come_in_the_order_of_the_rows() -> None:
    assert marked_in_order(order(A, B, C), frozenset({C, A, D})) == (A, C)
