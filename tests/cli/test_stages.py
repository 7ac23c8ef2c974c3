"""The stages from manual to unattended by commands: launches, proposals, decisions, promotion and demotion."""

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
    """Return the only proposal."""
    until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["proposed"], within=30, what="a proposal")
    (run,) = nightdesk.live()
    return run


def outcomes(nightdesk: Nightdesk) -> list[str]:
    return [run["outcome"] for run in reversed(nightdesk("history", "--json").json)]


def test_at_manual_a_scheduled_launch_is_refused_and_logged(nightdesk: Nightdesk) -> None:
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
    assert (again.code, again.json["outcome"]) == (0, "skipped"), "a key has one proposal"

    assert nightdesk("approve", run["run"][:12]).code == 0
    done = nightdesk.ended(waiting)
    assert (done.code, done.json["outcome"], done.json["stage"], done.json["origin"]) == (0, "ok", "semi", "schedule")
    assert nightdesk.service.started() == 1
    (rollout,) = nightdesk("stage", "nightly", "--json").json
    assert (rollout["evidence"]["approved_ok"], rollout["evidence"]["manual_ok"]) == (1, 0)
    assert rollout["missing"] == ["2 more successful approved runs"]


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
    assert nightdesk("approve", run["run"]).code == 6, "a decision is final"
    (rollout,) = nightdesk("stage", "nightly", "--json").json
    assert (rollout["evidence"]["ran"], rollout["evidence"]["approved_ok"]) == (0, 0), "it does not count as evidence"


def test_a_proposal_nobody_waits_for_is_launched_by_any_engine(nightdesk: Nightdesk) -> None:
    climb(nightdesk, "nightly", "semi")
    left = nightdesk("run", "nightly", "--origin", "schedule", "--no-wait", "--json")
    assert (left.code, left.json["state"], left.json["answer"]) == (0, "proposed", "proposed")
    assert nightdesk("approve", left.json["run"]).code == 0
    until_sync(lambda: outcomes(nightdesk) == ["ok"], within=30, what="the launch by the background supervisor")
    assert nightdesk.service.started() == 1


def test_at_unattended_it_runs_and_a_failure_demotes_the_task(nightdesk: Nightdesk) -> None:
    climb(nightdesk, "nightly", "semi", "unattended")
    assert nightdesk("run", "nightly", "--origin", "schedule").code == 0
    climb(nightdesk, "failing", "semi", "unattended")
    failed = nightdesk("run", "failing", "--origin", "schedule")
    assert failed.code == 1
    assert "failing was demoted from unattended to semi" in failed.err
    (rollout,) = nightdesk("stage", "failing", "--json").json
    assert (rollout["stage"], rollout["effective_stage"]) == ("semi", "semi")
    assert rollout["last_change"]["by"] == "nightdesk"
    assert "failed" in rollout["last_change"]["reason"]
    assert rollout["last_change"]["forced"] is False
    assert "event=stage" in (nightdesk.state / "runs.log").read_text()


def test_up_takes_evidence_or_force_with_a_reason_and_one_stage_at_a_time(nightdesk: Nightdesk) -> None:
    refused = nightdesk("stage", "good", "semi")
    assert (refused.code, "1 more successful manual run" in refused.err) == (6, True)
    assert nightdesk("stage", "good", "semi", "--force").code == 6
    assert nightdesk("stage", "good", "unattended", "--force", "--reason", "x").code == 6
    assert nightdesk.launch("good").code == 0
    earned = nightdesk("stage", "good", "semi", "--json")
    assert earned.code == 0
    (rollout,) = earned.json
    assert {"task", "stage", "effective_stage", "evidence", "missing", "last_change"} <= set(rollout)
    assert rollout["last_change"]["forced"] is False
    assert nightdesk("stage", "good", "manual").code == 6, "a demotion needs a reason"
    assert nightdesk("stage", "good", "manual", "--reason", "a new model").code == 0


def test_while_one_is_unconfirmed_the_task_counts_lower(nightdesk: Nightdesk) -> None:
    climb(nightdesk, "lost", "semi", "unattended")
    lost = nightdesk("run", "lost", "--origin", "schedule", "--json")
    assert lost.code == 7
    (rollout,) = nightdesk("stage", "lost", "--json").json
    assert (rollout["stage"], rollout["effective_stage"]) == ("semi", "manual"), (
        "demoted, and one stage lower until it is settled"
    )
    assert "1 unconfirmed run to settle" in rollout["missing"]
    other = nightdesk("run", "lost", "--origin", "schedule", "--date", "2026-01-01")
    assert other.code == 6
    ruled = nightdesk("settle", lost.json["run"], "not-launched", "--reason", "looked at the provider")
    assert ruled.code == 0, ruled.err
    (rollout,) = nightdesk("stage", "lost", "--json").json
    assert (rollout["stage"], rollout["effective_stage"]) == ("semi", "semi")
