"""Read the event stream of a session: steps as their text grows, usage at the end of the turn, and the status.

The stream begins where it is opened and has no cursor. So the items that were there before are read after its opening,
and their numbers are given to the reducer; consumers replace steps by index, so nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.provider.contract import Step, StreamEvent
from console.provider.http.errors import Redact
from console.provider.http.json_narrowing import members, parsed, text
from console.provider.http.sse import Frame
from console.provider.http.step_text import MAX_STEPS, STATUS_LENGTH, STEP_LENGTH, unchanged
from console.provider.openai.items import is_own, step_of
from console.provider.openai.replies import is_root, usage_of

MAX_OPEN_STEPS = 64
"""Unfinished steps that are kept; beyond this the oldest is dropped."""
TURN, SESSION = "agent.session.turn.", "agent.session."
_ENDS = frozenset({"completed", "failed", "cancelled"})
_SESSION_WORDS = frozenset({"in_progress", "idle", "failed", "requires_action"})
_DELTAS = frozenset(
    {
        "agent.session.turn.output_text.delta",
        "agent.session.turn.reasoning_summary_text.delta",
        "agent.output.command_execution_output.delta",
    }
)


class SessionReducer:
    """Turns frames into stream events. Never raises, whatever the frames contain."""

    def __init__(self, redact: Redact = unchanged) -> None:
        """`redact` is applied to every text that is not the agent's own."""
        self._redact = redact
        self.ended = False
        """True once the turn has ended, or the stream with an error. Only a poll tells how the run stands."""
        self._numbers: dict[str, int] = {}
        self._next = 0
        self._open: dict[str, Step] = {}
        self._others: set[str] = set()
        """Ids of turns of other agents, whose steps are not those of the run."""

    def history(self, items: Sequence[Mapping[str, object]]) -> list[StreamEvent]:
        """Return the steps that were there before the stream; they keep the numbers that they get here."""
        steps = [self._step(item, None) for item in items if is_own(item)]
        return [StreamEvent(step=step) for step in steps if step is not None]

    def feed(self, frame: Frame) -> StreamEvent | None:
        """Return the event in `frame`; None if it has none."""
        if frame.data.strip() == "[DONE]":
            self.ended = True
            return None
        try:
            payload = members(parsed(frame.data))
        except ValueError:
            return None
        kind = text(payload.get("type"), 80) or frame.event
        if kind == "error" or (frame.bare and "error" in payload):
            self.ended = True
            return None
        if text(payload.get("turn_id"), STATUS_LENGTH) in self._others:
            return None
        if kind in _DELTAS:
            return self._grown(payload)
        if kind in ("agent.session.turn.item.added", "agent.session.turn.item.done"):
            return self._item(payload, is_done=kind.endswith("done"))
        if kind.startswith(TURN):
            return self._turn(kind.removeprefix(TURN), payload)
        return self._session(kind.removeprefix(SESSION), payload)

    def _turn(self, word: str, payload: Mapping[str, object]) -> StreamEvent | None:
        turn = members(payload.get("turn"))
        if word not in _ENDS | {"created", "in_progress"}:
            return None
        if turn and not is_root(turn):
            self._others.add(text(turn.get("id"), STATUS_LENGTH))
            return None
        self.ended = word in _ENDS
        status = self._redact(text(turn.get("status"), STATUS_LENGTH) or word)
        return StreamEvent(status=status, usage=usage_of(payload.get("usage")) or usage_of(turn.get("usage")))

    def _session(self, word: str, payload: Mapping[str, object]) -> StreamEvent | None:
        session = members(payload.get("session"))
        if word not in _SESSION_WORDS or not session:
            return None
        self.ended = word == "failed"
        usage, status = usage_of(session.get("usage")), self._redact(text(session.get("status"), STATUS_LENGTH))
        return StreamEvent(status=status or None, usage=usage) if status or usage is not None else None

    def _item(self, payload: Mapping[str, object], *, is_done: bool) -> StreamEvent | None:
        item = members(payload.get("item"))
        if not item or not is_own(item):
            return None
        step = self._step(item, payload.get("output_index"))
        if step is None:
            return None
        identity = text(item.get("id"), STEP_LENGTH)
        done = is_done or step.done
        step = Step(index=step.index, kind=step.kind, text=step.text, done=done)
        self._open.pop(identity, None)
        if not done:
            self._open[identity] = step
            while len(self._open) > MAX_OPEN_STEPS:
                del self._open[next(iter(self._open))]
        return StreamEvent(step=step)

    def _grown(self, payload: Mapping[str, object]) -> StreamEvent | None:
        """Add a delta to its step. One whose beginning was missed is shown when it is done."""
        identity = text(payload.get("item_id"), STEP_LENGTH)
        step, delta = self._open.get(identity), payload.get("delta")
        if step is None or not isinstance(delta, str):
            return None
        apart = "\n" if step.kind == "command_execution" and "\n" not in step.text else ""
        grown = text(step.text + apart + text(delta, STEP_LENGTH), STEP_LENGTH)
        self._open[identity] = Step(index=step.index, kind=step.kind, text=grown)
        return StreamEvent(step=self._open[identity])

    def _step(self, item: Mapping[str, object], told: object) -> Step | None:
        """Return the item as a step, with the number it has, or that the service gives it, or the next one."""
        identity = text(item.get("id"), STEP_LENGTH)
        index = self._numbers.get(identity)
        if index is None:
            is_told = isinstance(told, int) and not isinstance(told, bool) and self._next <= told < MAX_STEPS
            index = told if is_told and isinstance(told, int) else self._next
            if index >= MAX_STEPS:
                return None
            self._numbers[identity] = index
            self._next = index + 1
        return step_of(index, item, self._redact)
