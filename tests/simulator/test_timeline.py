"""A course depends on scenario, limit and seed alone: not on who asks when, and never on how often."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.simulator.scenario import Ending, Scenario
from console.simulator.timeline import MAX_STEPS, Timeline, TokenLimit, Tokens

_ENDS = st.sampled_from([Ending.COMPLETED, Ending.FAILED, Ending.INCOMPLETE, Ending.REQUIRES_ACTION])


def _course(scenario: Scenario, *, limit: TokenLimit | None = None, seed: str = "s") -> Timeline:
    return Timeline(scenario, limit or TokenLimit(tokens=None), seed=seed)


@given(
    steps=st.integers(1, 40),
    jitter=st.floats(0, 1),
    cached=st.floats(0, 1),
    ending=_ENDS,
    times=st.lists(st.floats(0, 100), min_size=1, max_size=8),
)
def test_whoever_asks_in_whatever_order_sees_the_same_run(
    steps: int, jitter: float, cached: float, ending: Ending, times: list[float]
) -> None:
    scenario = Scenario(steps=steps, step_seconds=1.5, jitter=jitter, cached_share=cached, ending=ending)
    hasty, patient = _course(scenario), _course(scenario)
    for at_s in times:
        hasty.end(at_s)
    for at_s in sorted(times):
        assert hasty.done(at_s) == patient.done(at_s)
        assert hasty.tokens(at_s) == patient.tokens(at_s)
        assert hasty.end(at_s) == patient.end(at_s)


@given(steps=st.integers(1, 60), jitter=st.floats(0, 1), cached=st.floats(0, 1))
def test_figures_add_up_and_only_grow(steps: int, jitter: float, cached: float) -> None:
    course = _course(Scenario(steps=steps, step_seconds=1, jitter=jitter, cached_share=cached))
    total, at_s = Tokens(), 0.0
    for step in course.done(10_000):
        total += step.own
        assert step.total == total
        assert step.own.total == step.own.input + step.own.output + step.own.thought
        assert 0 <= step.own.cached <= step.own.input
        assert step.starts_s == at_s <= step.ends_s
        at_s = step.ends_s
    end = course.end(10_000)
    assert end is not None
    assert (end.at_s, end.status) == (at_s, Ending.COMPLETED)


def test_without_jitter_every_step_costs_what_the_scenario_says() -> None:
    course = _course(Scenario(steps=6, step_seconds=1, tokens_per_step=2000, cached_share=0.6))
    assert course.tokens(2.5) == Tokens(total=4000, input=3680, output=192, thought=128, cached=2400)
    assert course.tokens(100).uncached == 6 * 800


def test_another_seed_is_another_course() -> None:
    scenario = Scenario(jitter=0.5)
    assert _course(scenario, seed="a").done(99) == _course(scenario, seed="a").done(99)
    assert _course(scenario, seed="a").done(99) != _course(scenario, seed="b").done(99)


@pytest.mark.parametrize(
    ("limit", "steps"),
    [
        (TokenLimit(tokens=4000), 5),
        (TokenLimit(tokens=4000, overshoot=0.5), 8),
        (TokenLimit(tokens=4000, hit_by_step=2), 2),
        (TokenLimit(tokens=4000, hit_by_step=3, overshoot=0.2), 3),
    ],
)
def test_the_limit_is_looked_at_between_steps_and_counts_no_cached_tokens(limit: TokenLimit, steps: int) -> None:
    """800 uncached tokens a step against 4,000; overshoot and a forced hit as they are switched."""
    scenario = Scenario(steps=50, step_seconds=1, tokens_per_step=2000, cached_share=0.6)
    course = _course(scenario, limit=limit)
    end = course.end(1000)
    assert end is not None
    assert end.status is Ending.INCOMPLETE
    assert len(course.done(1000)) == steps
    assert course.tokens(1000).uncached >= 4000


def test_a_run_that_ends_within_its_limit_ends_by_itself() -> None:
    course = _course(Scenario(steps=3, step_seconds=1, tokens_per_step=100), limit=TokenLimit(tokens=301))
    end = course.end(1000)
    assert end is not None
    assert end.status is Ending.COMPLETED


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_stalled_course_stops_and_has_no_end(after: int) -> None:
    course = _course(Scenario(steps=9, step_seconds=1, stall_after=after))
    assert len(course.done(1e6)) == after
    assert course.end(1e6) is None


def test_a_course_without_an_end_is_bounded_in_what_it_shows() -> None:
    course = _course(Scenario(step_seconds=0.001, ending=Ending.NEVER))
    assert len(course.done(1e9)) == MAX_STEPS
    assert course.end(1e9) is None


def test_a_zombie_does_nothing_for_ever() -> None:
    course = Timeline(Scenario(), TokenLimit(tokens=1), seed="s", zombie=True)
    assert (course.done(1e9), course.end(1e9), course.tokens(1e9)) == ((), None, Tokens())


@given(steps=st.integers(1, 60))
def test_every_call_is_followed_by_its_own_result(steps: int) -> None:
    wholes = [step.text.whole for step in _course(Scenario(steps=steps)).done(1e6)]
    assert len(wholes) == steps
    assert wholes[-1]["type"] == "model_output"
    for whole, after in pairwise(wholes):
        kind = str(whole["type"])
        if kind.endswith("_call"):
            assert after["type"] == kind.removesuffix("_call") + "_result"
            assert after["call_id"] == whole["id"]


def test_a_text_of_ones_own_takes_the_place_of_every_word() -> None:
    hostile = "\x1b]0;owned\x07[@click=app.bell]x[/]"
    for step in _course(Scenario(steps=20, text=hostile)).done(1e6):
        assert "\\u001b" in repr(step.text.whole).replace("\\x1b", "\\u001b")
        assert step.text.deltas
