"""The live figures of one run, collected from polls and stream.

The provider's token figures are cumulative, so the maximum is taken, never a sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from console.domain.caps import is_over_budget
from console.domain.run import Run, State, StepRecord
from console.domain.task import CutOff
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import Price, Units, Usage
from console.provider.contract import RemoteRun, Step, StreamEvent
from console.store.progress import Progress

STEP_TEXT = 300
"""Characters kept of one step."""


@dataclass(slots=True, kw_only=True)
class LiveUsage:
    """What is known of a live run now. Mutable; owned by one monitor."""

    units: Units
    usage: Usage = field(default_factory=Usage)
    usage_known: bool = False
    told_at_step: int = -1
    """Index of the newest step that was seen when usage was reported last to this process."""
    largest_step: int = 0
    remote_status: str | None = None
    trouble: str = ""
    polled_ms: int | None = None
    steps: dict[int, StepRecord] = field(default_factory=dict)
    """By index; without those that cannot change any more and are stored."""
    unsaved: set[int] = field(default_factory=set)
    last_step: Timestamp | None = None
    last_step_index: int = -1
    _final_steps: int = 0
    """How many steps a poll has shown with another one behind them: only the last one may still grow. Every later
    answer repeats them, in a long run hundreds."""
    stored_steps: int = 0
    """Steps that were stored when this process took the run up."""

    @classmethod
    def of(cls, run: Run, units: Units) -> LiveUsage:
        """The figures of `run` as stored, to go on from."""
        return cls(
            units=units,
            usage=run.usage,
            usage_known=run.usage_known,
            largest_step=run.largest_step,
            remote_status=run.remote_status,
            polled_ms=run.polled_ms,
            last_step_index=run.steps - 1,
            last_step=_at_wall(run.last_step_ms),
            stored_steps=run.steps,
        )

    @property
    def used(self) -> int:
        """Milli-units used so far."""
        return self.units.of(self.usage)

    @property
    def is_complete(self) -> bool:
        """False if no usage was ever reported, or none since the newest step was seen."""
        return self.usage_known and self.told_at_step >= self.last_step_index

    def absorb_usage(self, usage: Usage | None, step: Usage | None = None) -> None:
        """Takes cumulative figures in; `step` are those of one step alone."""
        before = self.used
        if usage is not None:
            self.usage = self.usage.highest(usage)
            self.usage_known = True
        # Of one step, or of several where steps between two looks were missed: the larger one is the safe side.
        grown = self.units.of(step) if step is not None else self.used - before
        self.largest_step = max(self.largest_step, grown)

    def absorb_event(self, event: StreamEvent, now: Timestamp) -> None:
        """Takes one event of the stream in."""
        if event.usage is not None or event.step_tokens is not None:
            self.absorb_usage(event.usage, event.step_tokens)
        if event.status is not None:
            self.remote_status = event.status
        if event.step is not None and event.step.index >= self._final_steps:
            self._absorb_step(event.step, now)
        if event.usage is not None:
            self.told_at_step = self.last_step_index

    def absorb_remote(self, remote: RemoteRun, now: Timestamp) -> None:
        """Takes an answer to a poll in."""
        self.polled_ms = now.wall_ms
        self.trouble = ""
        self.remote_status = remote.status
        if remote.usage is not None:
            self.absorb_usage(remote.usage)
        for step in remote.steps:
            if step.index >= self._final_steps:
                self._absorb_step(step, now)
        if remote.steps and remote.steps[-1].index > self._final_steps:
            before, self._final_steps = self._final_steps, remote.steps[-1].index
            self._forget(range(before, self._final_steps))
        if remote.usage is not None:
            self.told_at_step = self.last_step_index

    def _absorb_step(self, step: Step, now: Timestamp) -> None:
        known = self.steps.get(step.index)
        text = sanitize(step.text, limit=STEP_TEXT) or (known.text if known else "")
        done = step.done or (known is not None and known.done)
        kind = sanitize(step.kind, limit=64)
        if known is not None and (known.kind, known.text, known.done) == (kind, text, done):
            return
        seen = StepRecord(
            index=step.index,
            kind=kind,
            text=text,
            at_ms=known.at_ms if known else now.wall_ms,
            units=self.used,
            done=done,
        )
        self.steps[step.index] = seen
        # What an earlier process stored keeps its time and its units; only the last of these may have changed since.
        if known is not None or step.index >= self.stored_steps - 1:
            self.unsaved.add(step.index)
        if step.index > self.last_step_index:
            self.last_step_index = step.index
            self.last_step = now

    def stored(self, steps: Sequence[StepRecord]) -> None:
        """These steps are in the store as they are here, except for those that have changed meanwhile."""
        for step in steps:
            if self.steps.get(step.index) == step:
                self.unsaved.discard(step.index)
        self._forget(step.index for step in steps if step.index < self._final_steps)

    def _forget(self, final: Iterable[int]) -> None:
        """Forget steps that cannot change any more, as far as they are stored."""
        for index in final:
            if index not in self.unsaved:
                self.steps.pop(index, None)

    def unsaved_steps(self) -> tuple[StepRecord, ...]:
        """The steps that are new or have changed since they were stored, in the order of the agent."""
        return tuple(self.steps[index] for index in sorted(self.unsaved))

    def progress_of(self, run: Run, price: Price | None, now: Timestamp) -> Progress:
        """What the row of `run` gets from these figures. `price`: that of its model; None where it is not known."""
        newest = self.steps.get(self.last_step_index)
        line = "" if newest is None else f"{newest.kind}: {newest.text}" if newest.text else newest.kind
        return Progress(
            usage=self.usage,
            used=self.used,
            usage_known=self.usage_known,
            largest_step=self.largest_step,
            remote_status=self.remote_status,
            trouble=self.trouble,
            stalled=run.state is State.RUNNING and self.quiet_ms(run, now) >= run.limits.stall_ms,
            polled_ms=self.polled_ms,
            last_step=line or run.last_step,
            last_step_ms=self.last_step.wall_ms if self.last_step else run.last_step_ms,
            steps=max(run.steps, self.last_step_index + 1),
            cost_micro=price.cost(self.usage) if price and self.usage_known else None,
            currency=price.currency if price else None,
        )

    def over_budget(self, run: Run) -> bool:
        """True where the budget must stop `run` now."""
        return is_over_budget(
            used=self.used,
            largest_step=self.largest_step,
            budget=run.limits.budget,
            before=run.limits.cut_off is CutOff.BEFORE,
        )

    def quiet_ms(self, run: Run, now: Timestamp) -> int:
        """Real milliseconds since the last new step, or since the launch."""
        since = self.last_step or run.sent
        return now.since(since) if since is not None else 0


def _at_wall(wall_ms: int | None) -> Timestamp | None:
    """A time of which only the wall clock is known."""
    return None if wall_ms is None else Timestamp(wall_ms=wall_ms, boot_ms=0, boot_id="")
