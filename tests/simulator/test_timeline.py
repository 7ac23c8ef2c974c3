"""A timeline depends on its scenario, limit and seed alone, not on when and how often it is read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.simulator.gemini.bodies import step_bodies
from console.simulator.scenario import Ending, Scenario
from console.simulator.timeline import MAX_STEPS, Measure, ServiceLimit, Timeline, Tokens

_ENDS = st.sampled_from([Ending.COMPLETED, Ending.FAILED, Ending.INCOMPLETE, Ending.REQUIRES_ACTION])


def _timeline(scenario: Scenario, *, limit: ServiceLimit | None = None, seed: str = "s") -> Timeline:
    return Timeline(scenario, limit or ServiceLimit(measure=None), seed=seed)


@given(
    steps=st.integers(1, 40),
    jitter=st.floats(0, 1),
    cached=st.floats(0, 1),
    ending=_ENDS,
    times=st.lists(st.floats(0, 100), min_size=1, max_size=8),
)
def test_the_order_of_reading_changes_nothing(
    steps: int, jitter: float, cached: float, ending: Ending, times: list[float]
) -> None:
    scenario = Scenario(steps=steps, step_seconds=1.5, jitter=jitter, cached_share=cached, ending=ending)
    first, second = _timeline(scenario), _timeline(scenario)
    for at_s in times:
        first.end(at_s)
    for at_s in sorted(times):
        assert first.done(at_s) == second.done(at_s)
        assert first.tokens(at_s) == second.tokens(at_s)
        assert first.end(at_s) == second.end(at_s)


@given(steps=st.integers(1, 60), jitter=st.floats(0, 1), cached=st.floats(0, 1))
def test_tokens_add_up_and_only_grow(steps: int, jitter: float, cached: float) -> None:
    timeline = _timeline(Scenario(steps=steps, step_seconds=1, jitter=jitter, cached_share=cached))
    total, at_s = Tokens(), 0.0
    for step in timeline.done(10_000):
        total += step.own
        assert step.total == total
        assert step.own.total == step.own.input + step.own.output + step.own.thought
        assert 0 <= step.own.cached <= step.own.input
        assert step.starts_s == at_s <= step.ends_s
        at_s = step.ends_s
    end = timeline.end(10_000)
    assert end is not None
    assert (end.at_s, end.status) == (at_s, Ending.COMPLETED)


def test_without_jitter_every_step_costs_what_the_scenario_says() -> None:
    timeline = _timeline(Scenario(steps=6, step_seconds=1, tokens_per_step=2000, cached_share=0.6))
    assert timeline.tokens(2.5) == Tokens(total=4000, input=3680, output=192, thought=128, cached=2400)
    assert timeline.tokens(100).uncached == 6 * 800


def test_another_seed_is_another_timeline() -> None:
    scenario = Scenario(jitter=0.5)
    assert _timeline(scenario, seed="a").done(99) == _timeline(scenario, seed="a").done(99)
    assert _timeline(scenario, seed="a").done(99) != _timeline(scenario, seed="b").done(99)


@pytest.mark.parametrize(
    ("limit", "steps"),
    [
        (ServiceLimit(measure=Measure(most=4000)), 5),
        (ServiceLimit(measure=Measure(most=4000), overshoot=0.5), 8),
        (ServiceLimit(measure=Measure(most=4000), hit_by_step=2), 2),
        (ServiceLimit(measure=Measure(most=4000), hit_by_step=3, overshoot=0.2), 3),
    ],
)
def test_the_limit_is_checked_between_steps_and_excludes_cached_tokens(limit: ServiceLimit, steps: int) -> None:
    """Each step uses 800 uncached tokens; the limit is 4,000."""
    scenario = Scenario(steps=50, step_seconds=1, tokens_per_step=2000, cached_share=0.6)
    timeline = _timeline(scenario, limit=limit)
    end = timeline.end(1000)
    assert end is not None
    assert end.status is Ending.INCOMPLETE
    assert len(timeline.done(1000)) == steps
    assert timeline.tokens(1000).uncached >= 4000


def test_a_run_below_its_limit_ends_by_itself() -> None:
    timeline = _timeline(
        Scenario(steps=3, step_seconds=1, tokens_per_step=100), limit=ServiceLimit(measure=Measure(most=301))
    )
    end = timeline.end(1000)
    assert end is not None
    assert end.status is Ending.COMPLETED


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_stalled_timeline_stops_and_has_no_end(after: int) -> None:
    timeline = _timeline(Scenario(steps=9, step_seconds=1, stall_after=after))
    assert len(timeline.done(1e6)) == after
    assert timeline.end(1e6) is None


def test_a_timeline_without_an_end_has_a_maximum_of_steps() -> None:
    timeline = _timeline(Scenario(step_seconds=0.001, ending=Ending.NEVER))
    assert len(timeline.done(1e9)) == MAX_STEPS
    assert timeline.end(1e9) is None


def test_a_zombie_has_no_steps_and_no_end() -> None:
    timeline = Timeline(Scenario(), ServiceLimit(measure=Measure(most=1)), seed="s", zombie=True)
    assert (timeline.done(1e9), timeline.end(1e9), timeline.tokens(1e9)) == ((), None, Tokens())


@given(steps=st.integers(1, 60))
def test_every_call_is_followed_by_its_own_result(steps: int) -> None:
    wholes = [step_bodies(step.content).whole for step in _timeline(Scenario(steps=steps)).done(1e6)]
    assert len(wholes) == steps
    assert wholes[-1]["type"] == "model_output"
    for whole, after in pairwise(wholes):
        kind = str(whole["type"])
        if kind.endswith("_call"):
            assert after["type"] == kind.removesuffix("_call") + "_result"
            assert after["call_id"] == whole["id"]


def test_a_text_replaces_every_word_of_the_script() -> None:
    hostile = "\x1b]0;owned\x07[@click=app.bell]x[/]"
    for step in _timeline(Scenario(steps=20, text=hostile)).done(1e6):
        assert "\\u001b" in repr(step_bodies(step.content).whole).replace("\\x1b", "\\u001b")
        assert step_bodies(step.content).deltas
