"""The text of the questions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.caps import Cap, CapUsage
from console.domain.key import key_of
from console.domain.run import Outcome, Run, State
from console.domain.server_limit import NO_SERVER_LIMIT
from console.domain.task import Stage
from console.engine.models import LaunchKind, LaunchPreview, Snapshot
from console.ui.actions.questions import can_rerun, launch_lines, proposal_lines, run_names, settle_lines
from console.ui.glyphs import UNICODE
from console.ui.spans import Line
from console.ui.state.view_state import ViewState
from tests.ui import samples

VIEW = ViewState(snapshot=Snapshot(taken=samples.NOW, time_zone="Europe/Berlin"), now=samples.NOW)
TASK = samples.TASKS[0]
PREVIEW = LaunchPreview(
    task=TASK,
    target=TASK.target,
    date="2026-11-23",
    key=key_of(TASK.type, TASK.target, "2026-11-23"),
    stage=Stage.SEMI,
    limits=samples.run(1).limits,
    typical=None,
    worst_case_micro=None,
    currency=None,
    cap_usages=samples.cap_usages(),
    answer=LaunchKind.LAUNCHED,
)


def text(lines: list[Line]) -> str:
    return "\n".join("".join(span.text for span in each).rstrip() for each in lines)


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    shown = text(launch_lines(PREVIEW, VIEW, 88, UNICODE))
    assert "unknown: no price for this model" in shown
    assert "no successful run yet" in shown


def test_a_service_without_a_limit_of_its_own_is_named_before_the_launch() -> None:
    assert NO_SERVER_LIMIT not in text(launch_lines(PREVIEW, VIEW, 88, UNICODE))
    unlimited = replace(PREVIEW, limits=replace(PREVIEW.limits, server_limit=None))
    assert NO_SERVER_LIMIT in text(launch_lines(unlimited, VIEW, 88, UNICODE))


def test_every_cap_shows_what_this_launch_would_add() -> None:
    shown = text(launch_lines(PREVIEW, VIEW, 88, UNICODE))
    assert "30 of 100 runs" in shown
    assert "31 after this launch" in shown
    assert "1272 of 2000 units" in shown
    assert "1352 after this launch" in shown


def test_a_cap_without_a_limit_says_so() -> None:
    free = CapUsage(cap=Cap.TASK_DAILY_RUNS, limit=None, held=0, spent=1, frees_at_ms=None)
    assert "task today 1 run, no cap" in text(launch_lines(replace(PREVIEW, cap_usages=(free,)), VIEW, 88, UNICODE))


@pytest.mark.parametrize(
    ("holder", "possible"),
    [
        (samples.ended()[0], True),
        (samples.ended()[1], True),
        (samples.run(1, State.ENDED, outcome=Outcome.NOT_SENT), False),
        (samples.run(1), False),
        (samples.unconfirmed(), False),
        (None, False),
    ],
)
def test_only_a_key_whose_run_has_ended_can_be_run_again(holder: Run | None, possible: bool) -> None:
    assert can_rerun(replace(PREVIEW, answer=LaunchKind.SKIPPED, holder=holder)) is possible


def test_differences_to_the_holder_are_named() -> None:
    preview = replace(
        PREVIEW,
        answer=LaunchKind.REFUSED,
        holder=samples.ended()[0],
        differences=("model: a -> b", "prompt_length: 1 -> 2"),
    )
    shown = text(launch_lines(preview, VIEW, 88, UNICODE))
    assert "differs    model: a -> b" in shown
    assert "✓ ok at 04:19, attempt 1" in shown


def test_many_runs_are_counted() -> None:
    runs = [samples.run(number) for number in range(12)]
    assert text(run_names(runs, 80, UNICODE)).endswith("and 4 more")
    assert run_names([], 80, UNICODE) == []


def test_a_proposal_is_approved_by_what_was_fixed_and_not_by_what_an_agent_says() -> None:
    run = replace(samples.proposal(), last_step="AGENT TEXT", result="AGENT TEXT", note="AGENT TEXT")
    shown = text(proposal_lines(run, VIEW))
    assert run.key in shown
    assert run.fingerprint.prompt_sha256[:12] in shown
    assert "AGENT TEXT" not in shown


def test_rulings_fit_what_is_in_doubt() -> None:
    assert "Not launched" in text(settle_lines(samples.unconfirmed(), 80))
    stopping = text(settle_lines(samples.stopping(alarmed=True), 80))
    assert "Not launched" not in stopping
    assert "Write off" in stopping
