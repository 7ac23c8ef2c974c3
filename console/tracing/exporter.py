"""Sends the runs that ended as spans: one concern of the engine, which waits for no receiver.

The store is the queue: a position in the numbered records of the log says how far it was read, and one request at a
time is under way, in a task of its own. What a receiver does not take stays where it is, and is given up after a day.
Of all processes on a state folder one has the turn to send; a run whose process died is sent by the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from console.config.settings import OtelSettings
from console.domain.formatting import DAY
from console.domain.log_record import LogRecord
from console.domain.run import NON_RUN_OUTCOMES, Outcome, RunId
from console.domain.timestamps import Clock
from console.engine.concerns import describe, end_tasks
from console.engine.errors import StoreError
from console.engine.problems import Problems
from console.store.errors import StoreDamaged
from console.store.store import Store
from console.tracing.otlp import encode, rejected
from console.tracing.position import FILE, LOCK, Position, read_position
from console.tracing.receiver import Fate, OtlpReceiver
from console.tracing.run_spans import RunSpan, run_spans
from console.turn import ROUND_S, SHORT_PATIENCE, Turn

TOPIC = "otel"
"""Topic of the problem that spans do not leave. It is no reason for a message."""
MOST_RUNS = 50
"""Runs in one request."""
MOST_RECORDS = 500
"""Records of the log that are read in one round."""
WAITS_S = (5.0, 30.0, 120.0, 300.0)
"""Between tries; the last one is repeated."""
KEPT_MS = DAY
"""A run that ended longer ago is not sent any more."""
ENDINGS = frozenset(outcome.value for outcome in Outcome if outcome not in NON_RUN_OUTCOMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What is sent at once."""

    spans: tuple[RunSpan, ...]
    runs: int
    too_old: int
    """Runs that are given up unsent."""
    event: int
    """The position behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    fate: Fate
    why: str = ""
    rejected: int = 0
    """Spans that were not taken, of a request that was."""


class SpanExporter:
    """Finds the runs that ended in each round and hands them to a task that sends them."""

    def __init__(
        self,
        store: Store,
        problems: Problems,
        clock: Clock,
        folder: Path,
        *,
        settings: Callable[[], OtelSettings],
        make_receiver: Callable[[OtelSettings], OtlpReceiver],
        about: Mapping[str, str],
        waits_s: tuple[float, ...] = WAITS_S,
    ) -> None:
        """`settings` are those in force, read in each round. `make_receiver` raises ValueError with one line.

        `about` are attributes of this process; the name of the service comes from the settings.
        """
        self._store = store
        self._problems = problems
        self._clock = clock
        self._folder = folder
        self._settings = settings
        self._make_receiver = make_receiver
        self._about = about
        self._waits_s = waits_s
        self._turn = Turn(folder / LOCK, patience=SHORT_PATIENCE)
        self._usable: OtelSettings | None = None
        """The settings with which a receiver was made last."""
        self._position: Position | None = None
        self._sending: asyncio.Task[_Result] | None = None
        self._batch: _Batch | None = None
        """What is being sent, or is to be sent again."""
        self._failed = 0
        """Tries in a row that were not taken."""
        self._again_at = 0.0
        """When the next try may begin, in seconds of the event loop."""
        self._one_round = asyncio.Lock()
        self._is_over = False

    async def round(self) -> None:
        """Take note of what was sent and begin to send what is new. Raises StoreError, and OSError for the folder."""
        async with self._one_round:
            if not self._is_over:
                await self._round()

    async def _round(self) -> None:
        use = self._settings()
        if use.endpoint is None:
            self._problems.clear(TOPIC)
            self._turn.release()
        if use.endpoint is None or not await asyncio.to_thread(self._turn.take):
            await self._forget()
            return
        if self._sending is not None and self._sending.done():
            await self._conclude(self._sending)
        if self._sending is not None or asyncio.get_running_loop().time() < self._again_at:
            return
        try:
            async with asyncio.timeout(ROUND_S):
                self._batch = self._batch or await self._next()
        except TimeoutError:
            # What every screen reads does not come either, and that is shown.
            return
        if self._batch is None and use == self._usable:
            return
        # Without anything to send too, so that settings which cannot be used are told at once.
        try:
            receiver, self._usable = self._make_receiver(use), use
        except ValueError as error:
            self._usable = None
            self._problems.report(TOPIC, f"otel: {error}", source="settings", lasting=True)
            return
        self._problems.clear(TOPIC, "settings")
        if self._batch is not None:
            about = {**self._about, "service.name": use.service_name}
            work = self._send(receiver, self._batch, about)
            self._sending = asyncio.get_running_loop().create_task(work, name="send spans")

    async def finish(self, within_s: float) -> None:
        """Send the runs that ended last, for at most `within_s` seconds, and let another process send what is left."""
        failed_before, self._again_at = self._failed, 0.0
        try:
            async with asyncio.timeout(within_s):
                await self.round()
                while self._sending is not None and self._failed == failed_before:
                    await asyncio.wait({self._sending})
                    await self.round()
        except (TimeoutError, OSError, StoreError):
            # Not sent, and so sent by the next process.
            pass
        finally:
            self._is_over = True
            await self._forget()
            self._turn.release()

    async def _forget(self) -> None:
        """Drop what is on its way: the process that has the turn sends it."""
        if self._sending is not None:
            await end_tasks([self._sending])
        self._sending, self._batch, self._position = None, None, None

    async def _next(self) -> _Batch | None:
        """The next runs that ended, None for none. Raises StoreError."""
        if self._position is None:
            self._position = await asyncio.to_thread(read_position, self._folder)
        if self._position is None:
            # Runs from before somebody wanted spans are not sent.
            await self._write(Position(event=await self._store.log_records.last_number()))
            return None
        position = self._position
        records = await self._store.log_records.after(position.event, MOST_RECORDS)
        if not records:
            last = await self._store.log_records.last_number()
            if last < position.event:
                # An older database was put back: its next record would have a number that seems to be done.
                await self._write(replace(position, event=last))
            return None
        oldest_ms = self._clock.now().wall_ms - KEPT_MS
        batch = _Batch(spans=(), runs=0, too_old=0, event=position.event)
        for record in records:
            if batch.runs == MOST_RUNS:
                break
            batch = replace(batch, event=record.ev)
            spans = await self._spans(record)
            if spans and record.at_ms < oldest_ms:
                batch = replace(batch, too_old=batch.too_old + 1)
            elif spans:
                batch = replace(batch, spans=(*batch.spans, *spans), runs=batch.runs + 1)
        if not batch.spans:
            await self._write(Position(event=batch.event, dropped=position.dropped + batch.too_old))
            return None
        return batch

    async def _spans(self, record: LogRecord) -> tuple[RunSpan, ...]:
        if record.status not in ENDINGS:
            return ()
        runs, run_id = self._store.runs, RunId(record.fields.get("run", ""))
        try:
            run = await runs.get(run_id)
            if run is None:
                return ()
            return run_spans(run, await runs.timeline(run_id), await runs.steps(run_id))
        except StoreDamaged:
            # Only this row; `doctor` names it.
            return ()

    async def _send(self, receiver: OtlpReceiver, batch: _Batch, about: Mapping[str, str]) -> _Result:
        content = await asyncio.to_thread(encode, batch.spans, about)
        fate, why, answer = await receiver.send(content)
        why = f"{receiver.name} {why}" if why else ""
        return _Result(fate=fate, why=why, rejected=rejected(answer) if fate is Fate.TAKEN else 0)

    async def _conclude(self, sent: asyncio.Task[_Result]) -> None:
        """Take note of what became of the batch. Raises OSError where that cannot be written down."""
        self._sending = None
        batch, position = self._batch, self._position
        if batch is None or position is None:
            return
        error = sent.exception()
        result = _Result(fate=Fate.LATER, why=describe(error)) if error is not None else sent.result()
        if result.fate is Fate.LATER:
            self._again_at = (
                asyncio.get_running_loop().time() + self._waits_s[min(self._failed, len(self._waits_s) - 1)]
            )
            self._failed += 1
            waiting = f"spans of {batch.runs} or more runs wait"
            self._problems.report(TOPIC, f"otel: {result.why}; {waiting}", source="receiver", lasting=True)
            if self._failed % len(self._waits_s) == 0:
                # Read anew, so that what is too old by now is given up.
                self._batch = None
            return
        self._batch, self._failed, self._again_at = None, 0, 0.0
        self._problems.clear(TOPIC, "receiver")
        lost = batch.runs if result.fate is Fate.REFUSED else min(batch.runs, result.rejected)
        if lost:
            why = result.why or "did not take all spans"
            self._problems.report_once(TOPIC, f"otel: {why}: spans of {lost} runs are lost")
        await self._write(Position(event=batch.event, dropped=position.dropped + batch.too_old + lost))

    async def _write(self, position: Position) -> None:
        await asyncio.to_thread(self._turn.replace, self._folder / FILE, position.to_json())
        self._position = position
