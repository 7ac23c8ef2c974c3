"""Cumulative usage is merged by its maximum and steps are upserted by index, so a replayed stream changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.domain.usage import Units, Usage
from console.engine.run.live_usage import STEP_TEXT, LiveUsage
from console.provider.contract import RemoteRun, StatusClass, Step, StreamEvent
from tests.clock import ManualClock
from tests.ui import samples

UNITS = Units(tokens_per_unit=1000, cached_weight_milli=100)
totals = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)


def new_usage() -> LiveUsage:
    return LiveUsage(units=UNITS)


def _last_line(usage: LiveUsage, clock: ManualClock) -> str:
    return usage.progress_of(samples.run(0), None, clock.now()).last_step


@given(totals)
def test_used_is_the_highest_total_in_any_order(reported: list[int]) -> None:
    usage = new_usage()
    for total in reported:
        usage.absorb_usage(Usage(total=total))
    assert usage.used == UNITS.of(Usage(total=max(reported)))


@given(totals)
def test_a_replayed_stream_changes_nothing(reported: list[int]) -> None:
    once, twice = new_usage(), new_usage()
    for usage, times in ((once, 1), (twice, 2)):
        for total in reported * times:
            usage.absorb_usage(Usage(total=total))
    assert (once.used, once.largest_step) == (twice.used, twice.largest_step)


def test_the_largest_step_is_the_largest_usage_that_the_provider_reports_for_one_step() -> None:
    usage = new_usage()
    usage.absorb_usage(Usage(total=5000), Usage(total=3000))
    usage.absorb_usage(Usage(total=6000), Usage(total=1000))
    assert usage.largest_step == 3000


def test_without_usage_per_step_the_growth_between_two_reports_counts() -> None:
    usage = new_usage()
    usage.absorb_usage(Usage(total=2000))
    usage.absorb_usage(Usage(total=9000))
    assert usage.largest_step == 7000


def test_usage_is_unknown_until_it_is_reported() -> None:
    usage = new_usage()
    assert not usage.usage_known
    usage.absorb_remote(remote(usage=None), ManualClock().now())
    assert not usage.usage_known
    usage.absorb_remote(remote(usage=Usage(total=10)), ManualClock().now())
    assert usage.usage_known


def test_usage_is_complete_only_if_it_was_reported_with_or_after_the_newest_step() -> None:
    clock, usage = ManualClock(), new_usage()
    first, second = (Step(index=index, kind="thought", text="a") for index in (0, 1))
    usage.absorb_remote(remote(usage=Usage(total=10), steps=(first,)), clock.now())
    assert usage.is_complete
    usage.absorb_event(StreamEvent(step=second), clock.now())
    assert not usage.is_complete
    usage.absorb_event(StreamEvent(usage=Usage(total=20)), clock.now())
    assert usage.is_complete


def test_steps_are_merged_by_index_and_control_characters_are_removed() -> None:
    clock, usage = ManualClock(), new_usage()
    usage.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="a")), clock.now())
    first = usage.last_step
    clock.advance(5)
    usage.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="a\x1b]0;x\x07", done=True)), clock.now())
    assert usage.last_step == first, "more text of the same step does not count as a new step"
    clock.advance(5)
    usage.absorb_event(StreamEvent(step=Step(index=1, kind="model_output", text="x" * 9999)), clock.now())
    assert usage.last_step == clock.now()
    assert "\x1b" not in usage.steps[0].text
    assert len(usage.steps[1].text) == STEP_TEXT
    assert usage.unsaved == {0, 1}
    assert _last_line(usage, clock).startswith("model_output: xxx")


def test_a_step_that_is_reported_twice_is_stored_once() -> None:
    clock, usage = ManualClock(), new_usage()
    step = Step(index=0, kind="thought", text="a", done=True)
    usage.absorb_remote(remote(steps=(step,)), clock.now())
    usage.unsaved.clear()
    usage.absorb_remote(remote(steps=(step,)), clock.now())
    assert not usage.unsaved


def test_a_finished_step_stays_finished_and_keeps_its_text() -> None:
    clock, usage = ManualClock(), new_usage()
    usage.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="abc", done=True)), clock.now())
    usage.absorb_event(StreamEvent(step=Step(index=0, kind="thought")), clock.now())
    assert (usage.steps[0].text, usage.steps[0].done) == ("abc", True)


def test_of_the_steps_that_every_poll_repeats_the_last_one_may_still_grow() -> None:
    usage = new_usage()
    for texts in (("looked", "wro"), ("?", "wrote a file", "read"), ("?", "?", "read it back")):
        usage.absorb_remote(remote(steps=thoughts(*texts)), ManualClock().now())
    assert [usage.steps[index].text for index in range(3)] == ["looked", "wrote a file", "read it back"]


def test_what_is_stored_and_cannot_change_any_more_is_forgotten_and_does_not_come_back() -> None:
    clock, usage = ManualClock(), new_usage()
    usage.absorb_remote(remote(steps=thoughts("a", "b", "c")), clock.now())
    usage.stored(usage.unsaved_steps())
    assert sorted(usage.steps) == [2]
    usage.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="a", done=True)), clock.now())
    usage.absorb_remote(remote(steps=thoughts("a", "b", "c", "d")), clock.now())
    assert sorted(usage.steps) == [3]
    assert usage.unsaved == {3}
    assert _last_line(usage, clock) == "thought: d"


def test_a_step_that_grows_while_it_is_being_stored_is_stored_again() -> None:
    clock, usage = ManualClock(), new_usage()
    usage.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="a")), clock.now())
    being_stored = usage.unsaved_steps()
    usage.absorb_event(StreamEvent(step=Step(index=0, kind="thought", text="a b")), clock.now())
    usage.stored(being_stored)
    assert [step.text for step in usage.unsaved_steps()] == ["a b"]


def thoughts(*texts: str) -> tuple[Step, ...]:
    return tuple(Step(index=index, kind="thought", text=text, done=True) for index, text in enumerate(texts))


def remote(*, usage: Usage | None = None, steps: tuple[Step, ...] = ()) -> RemoteRun:
    return RemoteRun(
        remote_id="v1_1", status="in_progress", status_class=StatusClass.LIVE, ending=None, usage=usage, steps=steps
    )
