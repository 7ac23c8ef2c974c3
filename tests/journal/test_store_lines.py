"""The lines of the store are summed in bulk; another order of fields would be correct but slow."""

from __future__ import annotations

from dataclasses import replace

from console.domain.log_record import format_line
from console.domain.run import Limits, Outcome, Run, State, new_run_id
from console.domain.server_limit import TokenLimit
from console.domain.task import CutOff, Fingerprint, Origin, Stage
from console.domain.usage_stats import sum_totals
from console.journal.aggregate import LogAggregator
from console.store import events

LIMITS = Limits(
    max_ms=600_000,
    budget=50_000,
    server_limit=TokenLimit(tokens=500_000),
    tokens_per_unit=10_000,
    cached_weight_milli=100,
    cut_off=CutOff.REACHED,
    stall_ms=300_000,
)
FINGERPRINT = Fingerprint(
    agent="a", model="m", prompt_sha256="", prompt_length=0, sandbox="own", tools="[]", network="", system_sha256=""
)


def run(number: int) -> Run:
    """Return a run that ended ok; every third has an unknown price."""
    return Run(
        id=new_run_id(number, bytes(10)),
        key=f"{number:016x}",
        task="nightly-report",
        type="report",
        target="acme/site",
        date="2026-11-23",
        attempt=1,
        stage=Stage.UNATTENDED,
        origin=Origin.SCHEDULE,
        requested_by="cron tty=no",
        state=State.ENDED,
        outcome=Outcome.OK,
        fingerprint=FINGERPRINT,
        limits=LIMITS,
        day="2026-11-23",
        created_ms=0,
        used=1500,
        elapsed_ms=1200,
        remote_id="v1_abc",
        cost_micro=None if number % 3 == 0 else 10_000,
        currency="USD",
    )


def test_the_lines_of_the_store_are_summed_in_bulk() -> None:
    lines = []
    for number in range(300):
        lines += [events.launched_record(run(number), number), events.ended_record(run(number), number)]
        skipped = replace(run(number), outcome=Outcome.SKIPPED, used=0, cost_micro=None)
        lines += [
            events.not_run_record(skipped, number, "running"),
            events.note_record("stall", {"why": "a b"}, None, number),
        ]
    fold = LogAggregator()
    fold.add(b"".join(format_line(replace(line, ev=ev)) for ev, line in enumerate(lines, 1)))
    figures = sum_totals(fold.totals.buckets())
    assert (figures.runs, figures.unlaunched, figures.units) == (300, 300, 300 * 1500)
    assert (figures.cost, figures.unpriced) == ((("USD", 200 * 10_000),), 100)
    assert fold.totals.holds() == ()
    # Line numbers get a digit longer three times, and each time a batch is split.
    assert fold.one_by_one <= 3 * 8
