"""The event stream of one run, grown as time passes: the same events in the same order for whoever listens.

Built from the course, so it needs no task of its own; an end from outside cuts it where it takes effect.
"""

from __future__ import annotations

import base64
import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.simulator.gemini.bodies import step_json, usage_json, utc
from console.simulator.scenario import TERMINAL
from console.simulator.timeline import Tokens

if TYPE_CHECKING:
    from console.simulator.run import RunView, SimulatedRun
    from console.simulator.timeline import PlannedStep


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One frame's payload, without what the faults of a stream take away."""

    number: int
    at_s: float
    """Seconds on the run's course; negative in the queue."""
    kind: str
    payload: Mapping[str, object]
    usage: Mapping[str, object]
    """Cumulative at this event, for streams that tell more of it than is documented."""


def event_id(run_id: str, number: int) -> str:
    """Opaque; holds characters that a query string must escape."""
    return base64.b64encode(f"{run_id}>?~{number}".encode()).decode()


class StreamEvents:
    """The events of one run so far."""

    def __init__(self) -> None:
        self._said: list[StreamEvent] = []
        self._due: deque[StreamEvent] = deque()
        self._next_step = 0
        self._numbers = itertools.count()
        self._is_opened = False
        self._is_closed = False
        self._usage = usage_json(Tokens())

    def until(self, run: SimulatedRun, now_s: float) -> list[StreamEvent]:
        """All events due by `now_s`, oldest first. The list is the log's own: it only grows."""
        if not self._is_opened:
            self._open(run)
        view = run.view(now_s)
        until_s = run.worked_s(now_s)
        self._plan(run, until_s)
        while self._due and self._due[0].at_s <= until_s:
            self._said.append(self._due.popleft())
        if view.ended_s is not None and not self._is_closed:
            self._close(run, view, view.ended_s, until_s)
        return self._said

    @property
    def is_closed(self) -> bool:
        """The last event has been said."""
        return self._is_closed

    def next_s(self, run: SimulatedRun) -> float | None:
        """World time of the next event as far as it is planned; None where none is."""
        if self._is_closed:
            return None
        cut = run.first_cut()
        times = [run.works_from_s + self._due[0].at_s] if self._due else []
        return min(times + ([cut.at_s] if cut is not None else []), default=None)

    def _open(self, run: SimulatedRun) -> None:
        self._is_opened = True
        queued = run.scenario.queued_seconds > 0
        status = "queued" if queued else run.scenario.live_status
        self._add(-run.scenario.queued_seconds, "interaction.created", {"interaction": _head(run, status)})
        if queued:
            self._add(
                0.0,
                "interaction.status_update",
                {"interaction_id": run.id, "status": run.scenario.live_status},
            )

    def _plan(self, run: SimulatedRun, until_s: float) -> None:
        while not self._due or self._due[-1].at_s <= until_s:
            step = run.course.step(self._next_step)
            if step is None:
                return
            self._next_step += 1
            self._add_step(step)
            parked = self._parks(run, step)
            if parked is not None:
                self._add(step.ends_s, "interaction.status_update", parked)

    def _parks(self, run: SimulatedRun, step: PlannedStep) -> Mapping[str, object] | None:
        end = run.course.end(step.ends_s)
        if end is None or end.at_s > step.ends_s or run.course.step(step.index + 1) is not None:
            return None
        status, _ = run.outcome_of(end.status)
        return None if status in TERMINAL else {"interaction_id": run.id, "status": status}

    def _add_step(self, step: PlannedStep) -> None:
        pause_s = (step.ends_s - step.starts_s) / (len(step.text.deltas) + 1)
        self._add(step.starts_s, "step.start", {"index": step.index, "step": step_json(step.text.stub)})
        for order, delta in enumerate(step.text.deltas, start=1):
            self._add(step.starts_s + order * pause_s, "step.delta", {"index": step.index, "delta": delta})
        self._usage = usage_json(step.total)
        self._add(
            step.ends_s,
            "step.stop",
            {"index": step.index, "usage": usage_json(step.total), "step_usage": usage_json(step.own)},
        )

    def _close(self, run: SimulatedRun, view: RunView, ended_s: float, at_s: float) -> None:
        self._due.clear()
        payload = {**_head(run, view.status), "updated": utc(run.wall(ended_s)), "usage": usage_json(view.tokens)}
        self._add(at_s, "interaction.completed", {"interaction": payload})
        self._said.append(self._due.popleft())
        self._is_closed = True

    def _add(self, at_s: float, kind: str, payload: Mapping[str, object]) -> None:
        said = {"event_type": kind, **payload}
        self._due.append(StreamEvent(number=next(self._numbers), at_s=at_s, kind=kind, payload=said, usage=self._usage))


def _head(run: SimulatedRun, status: str) -> dict[str, object]:
    created = utc(run.created_wall_s)
    head: dict[str, object] = {
        "id": run.id,
        "status": status,
        "object": "interaction",
        "agent": run.agent,
        "created": created,
        "updated": created,
        "service_tier": run.service_tier,
    }
    if run.shows_environment and run.environment_id is not None:
        head["environment_id"] = run.environment_id
    return head
