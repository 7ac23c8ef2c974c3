"""Cumulative figures are taken by their maximum; steps are upserted by index, so a replay changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.domain.usage import Units, Usage
from console.engine.run.live_usage import STEP_TEXT, LiveUsage
from console.provider.contract import RemoteRun, StatusClass, Step, StreamEvent
from tests.clock import ManualClock

UNITS = Units(tokens_per_unit=1000, cached_weight_milli=100)
totals = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)


def fresh() -> LiveUsage:
    return LiveUsage(units=UNITS)


@given(totals)
def test_used_is_the_highest_total_in_any_order(seen: list[int]) -> None:
    figures = fresh()
    for total in seen:
        figures.absorb_usage(Usage(total=total))
    assert figures.used == UNITS.of(Usage(total=max(seen)))


@given(totals)
def test_a_replayed_stream_changes_nothing(seen: list[int]) -> None:
    once, twice = fresh(), fresh()
    for figures, times in ((once, 1), (twice, 2)):
        for total in seen * times:
            figures.absorb_usage(Usage(total=total))
    assert (once.used, once.largest_step) == (twice.used, twice.largest_step)


def test_the_largest_step_is_what_the_provider_says_of_one_step() -> None:
    figures = fresh()
    figures.absorb_usage(Usage(total=5000), Usage(total=3000))
    figures.absorb_usage(Usage(total=6000), Usage(total=1000))
    assert figures.largest_step == 3000


def test_without_step_figures_the_growth_between_two_looks_counts() -> None:
    figures = fresh()
    figures.absorb_usage(Usage(total=2000))
    figures.absorb_usage(Usage(total=9000))
    assert figures.largest_step == 7000


def test_usage_is_unknown_until_a_figure_came() -> None:
    figures = fresh()
    assert not figures.usage_known
    figures.absorb_remote(remote(usage=None), ManualClock().now())
    assert not figures.usage_known
    figures.absorb_remote(remote(usage=Usage(total=10)), ManualClock().now())
    assert figures.usage_known


def test_steps_grow_by_index_and_hostile_text_is_cleaned() -> None:
    clock, figures = ManualClock(), fresh()
    figures.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="a")), clock.now())
    first = figures.last_step
    clock.advance(5)
    figures.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="a\x1b]0;x\x07", done=True)), clock.now())
    assert figures.last_step == first, "more text of a step is no new step"
    clock.advance(5)
    figures.absorb_event(StreamEvent(step=Step(index=1, kind="model_output", text="x" * 9999)), clock.now())
    assert figures.last_step == clock.now()
    assert "\x1b" not in figures.steps[0].text
    assert len(figures.steps[1].text) == STEP_TEXT
    assert figures.unsaved == {0, 1}
    assert figures.last_line().startswith("model_output: xxx")


def test_a_step_told_twice_is_not_stored_twice() -> None:
    clock, figures = ManualClock(), fresh()
    step = Step(index=0, kind="thought", text="a", done=True)
    figures.absorb_remote(remote(steps=(step,)), clock.now())
    figures.unsaved.clear()
    figures.absorb_remote(remote(steps=(step,)), clock.now())
    assert not figures.unsaved


def test_a_finished_step_stays_finished_and_keeps_its_text() -> None:
    clock, figures = ManualClock(), fresh()
    figures.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="abc", done=True)), clock.now())
    figures.absorb_event(StreamEvent(step=Step(index=0, kind="thought")), clock.now())
    assert (figures.steps[0].text, figures.steps[0].done) == ("abc", True)


def remote(*, usage: Usage | None = None, steps: tuple[Step, ...] = ()) -> RemoteRun:
    return RemoteRun(remote_id="v1_1", status="in_progress", status_class=StatusClass.LIVE, usage=usage, steps=steps)
