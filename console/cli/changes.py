"""What has changed between two reads, as lines of text: of the whole state folder, and of one run.

The lines stand alone: a screen reader reads each of them once, and a program takes them from a pipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from console.cli.render.run_text import event_line, result_lines, step_line
from console.cli.render.runs import cap_usage_line, head_lines, progress_key, progress_line, progress_name
from console.domain.fact_text import author_text
from console.domain.run import Run, RunId, State
from console.domain.text import sanitize
from console.engine.models import RunDetail, Snapshot

NEARLY_FULL = 80
"""The percentage of a cap from which on it counts as nearly full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line, and the run that it is about, if it is about one."""

    text: str
    run: Run | None = None


class SnapshotChanges:
    """Compares each snapshot with the one before it. The first one counts as wholly new."""

    def __init__(self) -> None:
        self._told: dict[RunId, tuple[object, ...]] = {}
        self._conditions: Mapping[str, str] = {}

    def gone(self, snapshot: Snapshot) -> tuple[RunId, ...]:
        """The runs that were live at the snapshot before and are in this one no more, neither live nor ended."""
        known = {run.id for run in (*snapshot.live, *snapshot.recent)}
        return tuple(run_id for run_id in self._told if run_id not in known)

    def update(self, snapshot: Snapshot, others: Sequence[Run] = ()) -> Iterator[Change]:
        """What is new: conditions of the whole, then runs.

        `others` are entries that the snapshot may not hold: those of the history since the last update, and runs of
        `gone`.
        """
        yield from self._changed_conditions(snapshot)
        live = {run.id: run for run in snapshot.live}
        new = {run.id for run in others}
        ended = {run.id: run for run in (*reversed(snapshot.recent), *others)}
        for run in ended.values():
            is_new = run.id in new and run.attempt > 0 and run.state is State.ENDED
            if run.id not in live and (run.id in self._told or is_new):
                self._told.pop(run.id, None)
                yield Change(text=progress_line(run), run=run)
        for run in live.values():
            if self._told.get(run.id) != progress_key(run):
                self._told[run.id] = progress_key(run)
                yield Change(text=progress_line(run), run=run)
        for run in others:
            if run.attempt == 0 and run.state is State.ENDED:
                word = run.outcome.value if run.outcome else run.state.value
                yield Change(text=f"{progress_name(run)}: {word}: {sanitize(run.note, limit=200)}", run=run)

    def _changed_conditions(self, snapshot: Snapshot) -> Iterator[Change]:
        before, self._conditions = self._conditions, conditions(snapshot)
        yield from (Change(text=text) for topic, text in self._conditions.items() if topic not in before)
        yield from (Change(text=f"over: {text}") for topic, text in before.items() if topic not in self._conditions)


def conditions(snapshot: Snapshot) -> dict[str, str]:
    """What holds for the whole state folder and needs attention, one sanitized line by topic."""
    found: dict[str, str] = {}
    if snapshot.paused:
        found["pause"] = f"launches are paused by {sanitize(author_text(snapshot.paused.by))}"
    if snapshot.nobody_schedules:
        found["schedule"] = next(line for line in head_lines(snapshot, has_caps=True) if "NOBODY SCHEDULES" in line)
    for usage in snapshot.cap_usages:
        if usage.limit is not None and (usage.held + usage.spent) * 100 >= usage.limit * NEARLY_FULL:
            is_full = usage.held + usage.spent >= usage.limit
            word = "full" if is_full else f"over {NEARLY_FULL} % full"
            found[f"cap {usage.cap} {word}"] = f"{word}: {cap_usage_line(usage)}"
    for problem in snapshot.problems:
        if problem.over_ms is None:
            found[f"problem {problem.pid} {problem.topic}"] = sanitize(problem.text)
    return {topic: sanitize(text) for topic, text in found.items()}


def detail_changes(before: RunDetail, after: RunDetail, zone: ZoneInfo) -> list[str]:
    """What is new of one run: events, steps that began or changed their text, its progress, and at its end the result.

    Times are of `zone`.
    """
    known = {step.index: step.text for step in before.steps}
    steps = sorted(after.steps, key=lambda step: step.index)
    lines = [event_line(event, zone, after.prepared) for event in after.timeline[len(before.timeline) :]]
    lines += [step_line(step) for step in steps if known.get(step.index) != step.text]
    if progress_key(before.run) != progress_key(after.run):
        lines.append(progress_line(after.run))
    if after.run.state is State.ENDED and before.run.result != after.run.result:
        lines += result_lines(after.run)
    return lines
