"""From by hand to unattended, through the shell: who may launch at each stage, who waits, who decides, at what cost."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.cli.nightdesk import CAPS, Nightdesk
from tests.waiting import until_sync


def climb(nightdesk: Nightdesk, task: str, *stages: str) -> None:
    for stage in stages:
        assert nightdesk("stage", task, stage, "--force", "--reason", "for this test").code == 0


def scheduled(nightdesk: Nightdesk, task: str, *more: str) -> subprocess.Popen[str]:
    return nightdesk.start("run", task, "--origin", "schedule", "--json", *more)


def proposal(nightdesk: Nightdesk) -> dict[str, Any]:
    """The one that waits."""
    until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["proposed"], within=30, what="a proposal")
    (run,) = nightdesk.live()
    return run


def outcomes(nightdesk: Nightdesk) -> list[str]:
    return [run["outcome"] for run in reversed(nightdesk("history", "--json").json)]


def test_at_manual_a_schedule_is_refused_and_told(nightdesk: Nightdesk) -> None:
    done = nightdesk("run", "nightly", "--origin", "schedule")
    assert (done.code, "is at stage manual; a scheduled launch needs semi" in done.err) == (6, True)
    assert "status=refused" in (nightdesk.state / "runs.log").read_text()
    assert nightdesk.service.started() == 0


def test_at_semi_run_waits_and_launches_what_another_process_approves(nightdesk: Nightdesk) -> None:
    climb(nightdesk, "nightly", "semi")
    waiting = scheduled(nightdesk, "nightly")
    run = proposal(nightdesk)
    assert nightdesk.service.started() == 0, "a proposal launches nothing"
    assert nightdesk("caps", "--json").json[1]["held"] == 0, "and holds nothing"
    again = nightdesk("run", "nightly", "--origin", "schedule", "--json")
    assert (again.code, again.json["outcome"]) == (0, "skipped"), "one proposal of a key, not two"

    assert nightdesk("approve", run["run"][:12]).code == 0
    done = nightdesk.ended(waiting)
    assert (done.code, done.json["outcome"], done.json["stage"], done.json["origin"]) == (0, "ok", "semi", "schedule")
    assert nightdesk.service.started() == 1
    (rung,) = nightdesk("stage", "nightly", "--json").json
    assert (rung["evidence"]["approved_ok"], rung["evidence"]["manual_ok"]) == (1, 0)
    assert rung["missing"] == ["2 more successful approved runs"]


@pytest.mark.parametrize("end", ["declined", "expired"])
def test_declined_and_expired_are_two_endings_and_both_exit_5(nightdesk: Nightdesk, end: str) -> None:
    nightdesk.configure(CAPS + ("[rollout]\napproval_seconds = 2\n" if end == "expired" else ""))
    climb(nightdesk, "nightly", "semi")
    waiting = scheduled(nightdesk, "nightly")
    run = proposal(nightdesk)
    if end == "declined":
        assert nightdesk("decline", run["run"], "--reason", "not tonight").code == 0
    done = nightdesk.ended(waiting)
    assert (done.code, done.json["outcome"]) == (5, end)
    assert nightdesk.service.started() == 0
    assert nightdesk("approve", run["run"]).code == 6, "decided is decided"
    (rung,) = nightdesk("stage", "nightly", "--json").json
    assert (rung["evidence"]["ran"], rung["evidence"]["approved_ok"]) == (0, 0), "it counts neither way"


def test_a_proposal_nobody_waits_for_is_launched_by_any_engine(nightdesk: Nightdesk) -> None:
    climb(nightdesk, "nightly", "semi")
    left = nightdesk("run", "nightly", "--origin", "schedule", "--no-wait", "--json")
    assert (left.code, left.json["state"], left.json["answer"]) == (0, "proposed", "proposed")
    assert nightdesk("approve", left.json["run"]).code == 0
    until_sync(lambda: outcomes(nightdesk) == ["ok"], within=30, what="the launch by the background supervisor")
    assert nightdesk.service.started() == 1


def test_at_unattended_it_runs_and_a_failure_costs_the_rung(nightdesk: Nightdesk) -> None:
    climb(nightdesk, "nightly", "semi", "unattended")
    assert nightdesk("run", "nightly", "--origin", "schedule").code == 0
    climb(nightdesk, "failing", "semi", "unattended")
    failed = nightdesk("run", "failing", "--origin", "schedule")
    assert failed.code == 1
    assert "failing was demoted from unattended to semi" in failed.err
    (rung,) = nightdesk("stage", "failing", "--json").json
    assert (rung["stage"], rung["effective_stage"]) == ("semi", "semi")
    assert rung["last_change"]["by"] == "nightdesk"
    assert "failed" in rung["last_change"]["reason"]
    assert rung["last_change"]["forced"] is False
    assert "event=stage" in (nightdesk.state / "runs.log").read_text()


def test_up_takes_evidence_or_force_with_a_reason_and_one_rung(nightdesk: Nightdesk) -> None:
    refused = nightdesk("stage", "good", "semi")
    assert (refused.code, "1 more successful manual run" in refused.err) == (6, True)
    assert nightdesk("stage", "good", "semi", "--force").code == 6
    assert nightdesk("stage", "good", "unattended", "--force", "--reason", "x").code == 6
    assert nightdesk.launch("good").code == 0
    earned = nightdesk("stage", "good", "semi", "--json")
    assert earned.code == 0
    (rung,) = earned.json
    assert {"task", "stage", "effective_stage", "evidence", "missing", "last_change"} <= set(rung)
    assert rung["last_change"]["forced"] is False
    assert nightdesk("stage", "good", "manual").code == 6, "down takes a reason"
    assert nightdesk("stage", "good", "manual", "--reason", "a new model").code == 0


def test_while_one_is_unconfirmed_the_task_counts_lower(nightdesk: Nightdesk) -> None:
    climb(nightdesk, "lost", "semi", "unattended")
    lost = nightdesk("run", "lost", "--origin", "schedule", "--json")
    assert lost.code == 7
    (rung,) = nightdesk("stage", "lost", "--json").json
    assert (rung["stage"], rung["effective_stage"]) == ("semi", "manual"), "demoted, and one lower for the time"
    assert "1 unconfirmed run to settle" in rung["missing"]
    other = nightdesk("run", "lost", "--origin", "schedule", "--date", "2026-01-01")
    assert other.code == 6
    ruled = nightdesk("settle", lost.json["run"], "not-launched", "--reason", "looked at the provider")
    assert ruled.code == 0, ruled.err
    (rung,) = nightdesk("stage", "lost", "--json").json
    assert (rung["stage"], rung["effective_stage"]) == ("semi", "semi")
