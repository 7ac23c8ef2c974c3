"""What a service says is stored and read back, whatever it is, so that no answer keeps a run from being settled."""

from __future__ import annotations

from dataclasses import replace

from console.domain.run import Outcome, Run, StepRecord
from console.domain.usage import Usage
from console.store.history import HistoryFilter
from console.store.progress import Progress, ProgressUpdate
from console.store.rows import MAX_AMOUNT, to_storable
from tests.hostile.payloads import CONTROL, MARKUP
from tests.store.harness import CAPS, StoreHarness, a_task

TEXTS = (*CONTROL, *MARKUP, "a\0b", "\ud800", "%s %(x)s %% :name ::text", "'; drop table runs; --", "\\", "é" * 5_000)
NUMBERS = (-1, 0, 2**31, 2**63 - 1, 2**63, 2**70)


async def _progressed(harness: StoreHarness, update: ProgressUpdate) -> Run:
    (outcome,) = await harness.store.runs.record_progress_of_many([update], harness.now)
    assert isinstance(outcome, Run), outcome
    return outcome


async def test_every_text_is_stored_as_a_step_a_trouble_and_a_result(harness: StoreHarness) -> None:
    for number, text in enumerate(TEXTS):
        run = await harness.running(a_task(f"t{number}"))
        step = StepRecord(index=0, kind=text, text=text, at_ms=0, units=0, done=True)
        said = Progress(trouble=text, remote_status=text, last_step=text, currency=text)
        run = await _progressed(harness, ProgressUpdate(run=run, progress=said, steps=[step]))
        assert (run.trouble, run.remote_status, run.last_step) == (to_storable(text),) * 3
        (stored,) = await harness.store.runs.steps(run.id)
        assert stored.text == stored.kind == to_storable(text)
        ended = await harness.settle(run, Outcome.OK, result=text, currency=text)
        assert ended.result == to_storable(text)
        assert await harness.run(ended) == ended
        await harness.store.history.count(HistoryFilter(text=text))
    assert len(await harness.records()) == 2 * len(TEXTS)


async def test_every_number_is_stored_within_the_range_of_amounts(harness: StoreHarness) -> None:
    harness.caps = replace(CAPS, daily_units=None, monthly_units=None)
    for number, amount in enumerate(NUMBERS):
        run = await harness.running(a_task(f"t{number}"))
        usage = Usage(total=amount, input=amount)
        said = Progress(usage=usage, used=amount, usage_known=True, steps=amount, cost_micro=amount)
        run = await _progressed(harness, ProgressUpdate(run=run, progress=said))
        assert run.used == run.usage.total == max(0, min(amount, MAX_AMOUNT))
        ended = await harness.settle(run, used=amount, usage=usage, cost_micro=amount)
        assert ended.used == max(0, min(amount, MAX_AMOUNT))
