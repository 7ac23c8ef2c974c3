"""Runs in every state, for tests of output."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console.domain.run import Limits, Outcome, Run, RunId, State, StopReason, StopRequest
from console.domain.server_limit import TokenLimit
from console.domain.task import CutOff, Fingerprint, Guardrails, Origin, Stage, Task
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage

START_MS = 1_795_402_800_000
"""2026-11-23T03:00:00Z"""
NOW = Timestamp(wall_ms=START_MS + 65_500, boot_ms=165_500, boot_id="boot-1")

TASK = Task(
    name="report",
    type="report",
    target="acme/site",
    prompt="Write it.",
    agent="agent-a",
    model="model-a",
    guardrails=Guardrails(max_ms=600_000, budget=50_000),
)

RUNNING = Run(
    id=RunId("01kb00000000000000000000aa"),
    key="9f2c51ab03de7714",
    task="report",
    type="report",
    target="acme/site",
    date="2026-11-23",
    attempt=1,
    stage=Stage.MANUAL,
    origin=Origin.MANUAL,
    requested_by="ada tty=yes",
    state=State.RUNNING,
    fingerprint=Fingerprint.of(TASK),
    limits=Limits(
        max_ms=600_000,
        budget=50_000,
        server_limit=TokenLimit(tokens=500_000),
        tokens_per_unit=10_000,
        cached_weight_milli=100,
        cut_off=CutOff.REACHED,
        stall_ms=300_000,
    ),
    day="2026-11-23",
    created_ms=START_MS,
    claimed=Timestamp(wall_ms=START_MS, boot_ms=100_000, boot_id="boot-1"),
    sent=Timestamp(wall_ms=START_MS, boot_ms=100_000, boot_id="boot-1"),
    deadline_ms=START_MS + 600_000,
    remote_id="v1_abc",
    remote_status="in_progress",
    usage=Usage(total=381_224, input=300_000, cached=100_000),
    used=38_200,
    usage_known=True,
    last_step="reads the log",
)


def run(**changes: Any) -> Run:
    """Return a running run with these fields changed."""
    return replace(RUNNING, **changes)


def ended(outcome: Outcome, **changes: Any) -> Run:
    """Return a run that ended with this outcome."""
    return run(state=State.ENDED, outcome=outcome, ended_ms=START_MS + 412_300, elapsed_ms=412_300, **changes)


def history_entry(outcome: Outcome, note: str) -> Run:
    """Return an entry of the history that is not a run: a skip or a refusal."""
    return run(
        state=State.ENDED,
        outcome=outcome,
        attempt=0,
        note=note,
        sent=None,
        deadline_ms=None,
        ended_ms=START_MS,
        remote_id=None,
        usage=Usage(),
        used=0,
        usage_known=False,
    )


def stopping(reason: StopReason = StopReason.OPERATOR, *, alarmed: bool = False) -> Run:
    """Return a run that is stopping."""
    stop = StopRequest(reason=reason, by="ada tty=yes", at_ms=START_MS + 1000, tries=2, answer="ok", alarmed=alarmed)
    return run(state=State.STOPPING, stop=stop)
