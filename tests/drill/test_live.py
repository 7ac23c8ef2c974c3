"""A live drill names what differs at a service, and whatever happens, nothing that it started works on afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.config import load
from console.drill.live.checks import CHECKS
from console.drill.live.plan import LivePlan, template_of
from console.drill.live.report import LiveFinding, LiveReport, Verdict
from console.drill.live.runner import ServiceUnusable, live_drill
from console.simulator.faults import FaultSpec
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.drill.setups import KEY, PLAN, PROMPT, WORKING, live_setup, write_config
from tests.waiting import until

LABELS = {"nightdesk-run", "nightdesk-key", "nightdesk-attempt"}


@contextmanager
def simulated(kind: str) -> Iterator[SimulatorThread]:
    """Run a service whose agents work on until they are stopped; at the end none of them may still work."""
    face = "gemini" if kind == "trigger" else kind
    with SimulatorThread(SimulatorState(default=WORKING), face=face) as simulator:
        yield simulator
        assert simulator.state.live() == 0


@pytest.fixture
def service() -> Iterator[SimulatorThread]:
    with simulated("gemini") as simulator:
        yield simulator


def _verdicts(report: LiveReport) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in report.findings}


@pytest.mark.parametrize(
    ("kind", "outcomes", "call"),
    [
        ("gemini", ["timeout", "budget", "cancelled", "failed"], "POST /v1beta/interactions/{id}/cancel"),
        pytest.param(
            "trigger",
            ["timeout", "budget", "cancelled", "failed"],
            "POST /v1beta/triggers/{id}/executions",
            marks=pytest.mark.proofs,
        ),
        pytest.param(
            "anthropic",
            ["timeout", "budget", "cancelled", "cancelled"],
            "POST /v1/sessions/{id}/events",
            marks=pytest.mark.proofs,
        ),
        pytest.param(
            "openai",
            ["timeout", "budget", "cancelled", "cancelled"],
            "POST /v1/agents/sessions/{id}/events",
            marks=pytest.mark.proofs,
        ),
    ],
)
async def test_every_guard_holds_and_what_it_started_is_labelled_and_stopped(
    tmp_path: Path, kind: str, outcomes: list[str], call: str
) -> None:
    with simulated(kind) as service:
        report = await live_drill(live_setup(tmp_path, service.url, kind=kind))
    assert list(_verdicts(report)) == list(CHECKS)
    # The simulated service sends no date.
    assert {check for check, verdict in _verdicts(report).items() if verdict is not Verdict.HELD} == {"clock"}
    assert (report.passed, report.left, report.differences) == (True, (), ())
    assert [run.outcome for run in report.runs] == outcomes
    runs = service.state.runs()
    assert len(runs) == 4
    assert all(run.labels.keys() >= LABELS for run in runs)
    assert len({run.key for run in runs}) == 4
    assert service.state.stats()["environments_made"] == len(service.state.environments.deleted)
    _can_be_shown_to_anybody(report, service, call)


def _can_be_shown_to_anybody(report: LiveReport, service: SimulatorThread, call: str) -> None:
    """The report holds forms of calls, such as `call`, and figures: no key, no prompt, and no id of the service."""
    text = json.dumps(report.to_json())
    secrets = [KEY, PROMPT, *PLAN.prompt.splitlines(), *(run.id[:16] for run in service.state.runs())]
    assert not [secret for secret in secrets if secret in text]
    assert call in text
    used = {run["run"]: run for run in json.loads(text)["runs"]}
    assert float(used["budget"]["units"]) >= 5
    assert float(used["budget"]["cost"]) > 0


@pytest.mark.proofs
@pytest.mark.parametrize(
    ("kind", "faults", "check", "verdict", "words"),
    [
        ("anthropic", ("usage.absent_midrun",), "budget", Verdict.FAILED, "of 5.0 units; no figures before the end"),
        ("openai", ("create.lost_reply",), "one launch", Verdict.HELD, "it was sent again with its key"),
        ("openai", ("create.503_but_done",), "one launch", Verdict.HELD, "it was sent again with its key"),
        (
            "gemini",
            ("cancel.404_slash",),
            "cancel",
            Verdict.DIFFERS,
            "refused before: POST /v1beta/interactions/{id}/cancel",
        ),
        ("gemini", ("cancel.404_both", "budget.ignored"), "cancel", Verdict.DIFFERS, "its sandbox was deleted"),
        (
            "gemini",
            ("cancel.never", "budget.ignored"),
            "time limit",
            Verdict.DIFFERS,
            "did not end it: its sandbox was deleted",
        ),
        ("gemini", ("cancel.never", "env_delete.run_goes_on"), "time limit", Verdict.FAILED, "outcome budget"),
        ("gemini", ("cancel.terminal_400",), "cancel", Verdict.HELD, "cancelled again: refused"),
        ("gemini", ("env_delete.run_goes_on",), "deletion", Verdict.DIFFERS, "the run went on for 1.5 s"),
        ("gemini", ("env_create.501",), "one launch", Verdict.DIFFERS, "refused: POST /v1beta/environments: 501"),
        (
            "gemini",
            ("usage.absent_midrun", "steps.absent_midrun"),
            "budget",
            Verdict.DIFFERS,
            "no figures before the end",
        ),
        ("gemini", ("usage.absent",), "usage", Verdict.DIFFERS, "no usage"),
        ("gemini", ("budget.ignored",), "budget", Verdict.HELD, "after this program asked for it"),
        ("gemini", ("create.lost_reply",), "one launch", Verdict.FAILED, "no answer to the launch"),
        ("gemini", ("create.400",), "time limit", Verdict.FAILED, "outcome rejected"),
    ],
    ids=str,
)
async def test_what_a_service_does_differently_is_named(
    tmp_path: Path, kind: str, faults: FaultSpec, check: str, verdict: Verdict, words: str
) -> None:
    with simulated(kind) as service:
        service.state.set_faults(faults)
        report = await live_drill(live_setup(tmp_path, service.url, kind=kind))
    found = {finding.check: finding for finding in report.findings}[check]
    assert (found.verdict, words in found.seen) == (verdict, True), found
    assert report.passed == all(finding.verdict is not Verdict.FAILED for finding in report.findings)


@pytest.mark.proofs
async def test_a_launch_without_an_answer_is_reported_as_left(service: SimulatorThread, tmp_path: Path) -> None:
    """Its sandbox is deleted, which stops the agent here; the next drill is not held up by it."""
    service.state.set_faults({"create.lost_reply": 1})
    report = await live_drill(live_setup(tmp_path, service.url))
    assert [left.why for left in report.left] == [
        "no answer came to its launch; its sandbox was deleted, and it is written off"
    ]
    assert not report.passed
    service.state.clear_faults()
    assert (await live_drill(live_setup(tmp_path, service.url))).passed


async def test_an_exception_leaves_no_agent(service: SimulatorThread, tmp_path: Path) -> None:
    def breaks(finding: LiveFinding) -> None:
        raise RuntimeError("the output is gone")

    with pytest.raises(RuntimeError, match="the output is gone"):
        await live_drill(live_setup(tmp_path, service.url, on_finding=breaks))
    assert service.state.started() == 1


async def test_an_interruption_leaves_no_agent(service: SimulatorThread, tmp_path: Path) -> None:
    """The drill is told to end as soon as its first agent has started."""

    async def interrupted() -> None:
        async def started() -> bool:
            return service.state.live() == 1

        await until(started, what="the first agent")

    report = await live_drill(live_setup(tmp_path, service.url, interrupted=interrupted))
    assert (report.interrupted, report.left, report.passed) == (True, (), False)


async def test_nothing_is_launched_with_a_key_that_is_refused_or_without_a_service(tmp_path: Path) -> None:
    with SimulatorThread(SimulatorState(api_key="another key")) as simulator:
        with pytest.raises(ServiceUnusable) as refused:
            await live_drill(live_setup(tmp_path, simulator.url))
        assert (refused.value.is_refused, simulator.state.posts()) == (True, 0)
    with pytest.raises(ServiceUnusable) as absent:
        await live_drill(live_setup(tmp_path, simulator.url))
    assert not absent.value.is_refused


def test_the_provider_of_a_drill_is_one_that_a_task_uses(tmp_path: Path) -> None:
    settings = load(write_config(tmp_path, "http://127.0.0.1:9"))
    assert template_of(settings, "default").name == "nightly"
    with pytest.raises(ValueError, match="no provider is named 'x'; accepted for --provider: default"):
        template_of(settings, "x")


def test_all_runs_together_stay_within_the_units_that_were_asked_for(tmp_path: Path) -> None:
    plan = LivePlan(max_units=10)
    tasks = plan.tasks(template_of(load(write_config(tmp_path, "http://127.0.0.1:9")), None))
    assert sum(task.guardrails.budget for task in tasks) == 10_000
