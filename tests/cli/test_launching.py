"""`nightdesk run` reports the outcome of a run by its exit code, and writes only data to stdout."""

from __future__ import annotations

import pytest

from tests.cli.nightdesk import CAPS, Nightdesk
from tests.waiting import until_sync


@pytest.mark.parametrize(
    ("task", "code", "outcome"),
    [("good", 0, "ok"), ("failing", 1, "failed"), ("timed", 3, "timeout"), ("greedy", 4, "budget")],
)
def test_the_exit_code_reports_the_outcome(nightdesk: Nightdesk, task: str, code: int, outcome: str) -> None:
    done = nightdesk.launch(task)

    assert (done.code, done.json["outcome"], done.json["state"]) == (code, outcome, "ended")
    assert f"{task} {done.json['run'][:12]}: {outcome}" in done.err
    assert "canary" not in done.err


def test_the_same_key_is_not_launched_twice(nightdesk: Nightdesk) -> None:
    first = nightdesk.launch("good").json
    again = nightdesk.launch("good")

    assert (again.code, again.json["answer"], again.json["outcome"]) == (0, "skipped", "skipped")
    assert again.json["holder"] == first["run"]
    assert nightdesk.service.started(first["key"]) == 1


@pytest.mark.proofs
def test_ten_concurrent_commands_launch_one_run(nightdesk: Nightdesk) -> None:
    nightdesk("ps")
    processes = [nightdesk.start("run", "good", "--json") for _ in range(2)]
    processes += [nightdesk.start("run", "good", "--origin", "manual", "--json") for _ in range(3)]

    done = [nightdesk.ended(process) for process in processes]

    assert sorted({each.code for each in done}) in ([0], [0, 6]), "a schedule is refused at stage manual"
    assert nightdesk.service.started() == 1


def test_a_rerun_needs_a_reason_and_supersedes_the_run(nightdesk: Nightdesk) -> None:
    first = nightdesk.launch("good").json
    assert nightdesk.launch("good", "--rerun").code == 2

    again = nightdesk.launch("good", "--rerun", "--reason", "the data was late")

    assert (again.code, again.json["attempt"]) == (0, 2)
    assert nightdesk("show", first["run"], "--json").json["superseded_by"] == again.json["run"]


def test_a_refusal_by_the_provider(nightdesk: Nightdesk) -> None:
    done = nightdesk.launch("rejected")

    assert (done.code, done.json["outcome"]) == (6, "rejected")
    assert nightdesk.service.started() == 0


def test_a_lost_reply_blocks_the_key_until_it_is_settled(nightdesk: Nightdesk) -> None:
    lost = nightdesk.launch("lost")
    assert (lost.code, lost.json["state"]) == (7, "unconfirmed")
    assert "UNCONFIRMED: it may be running" in lost.err
    assert nightdesk.service.started() == 1
    assert nightdesk.launch("lost").code == 6, "this key cannot be launched"
    run = lost.json["run"]

    wrong = nightdesk("settle", run, "adopt", "v1_not_ours", "--reason", "guess")
    assert wrong.code == 6
    truth = nightdesk.service.runs()[0].id
    adopted = nightdesk("settle", run, "adopt", truth, "--reason", "its label says so", "--json")
    assert (adopted.code, adopted.json["remote_id"]) == (0, truth)

    assert nightdesk("cancel", run).code == 0
    assert nightdesk("show", run, "--json").json["state"] == "ended"


def test_a_scheduled_launch_depends_on_the_stage(nightdesk: Nightdesk) -> None:
    refused = nightdesk("run", "nightly", "--json")
    assert (refused.code, refused.json["refusal"]["kind"]) == (6, "stage")
    assert nightdesk("stage", "nightly", "semi").code == 6, "there is no evidence for a promotion yet"
    assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test").code == 0

    left = nightdesk("run", "nightly", "--no-wait", "--json")
    assert (left.code, left.json["state"]) == (0, "proposed")
    declined = nightdesk("decline", left.json["run"], "--reason", "not tonight", "--json")
    assert (declined.code, declined.json["outcome"]) == (0, "declined")

    waiting = nightdesk.start("run", "nightly", "--json")
    assert waiting.stderr is not None
    assert "waits for approval" in waiting.stderr.readline()
    (proposal,) = nightdesk.live()
    assert nightdesk("approve", proposal["run"]).code == 0

    done = nightdesk.ended(waiting)
    assert (done.code, done.json["outcome"]) == (0, "ok")


def test_a_launch_over_a_cap_is_refused(nightdesk: Nightdesk) -> None:
    nightdesk.configure(CAPS.replace("daily_units = 2000", "daily_units = 49.5"))

    refused = nightdesk.launch("good")
    assert (refused.code, refused.json["refusal"]["kind"]) == (6, "cap")
    assert "never fits: this task's budget (50.0) is larger than daily_units (49.5)" in refused.err
    assert refused.json["refusal"]["cap"]["frees_at"] is None

    assert nightdesk("caps", "raise", "daily_units", "0.5", "--reason", "one more").code == 0
    assert nightdesk.launch("good").code == 0
    (daily,) = [cap for cap in nightdesk("caps", "--json").json if cap["cap"] == "daily_units"]
    assert daily["limit"] == 50
    assert 0 < daily["spent"] < 1


@pytest.mark.proofs
def test_a_service_that_is_not_reachable(nightdesk: Nightdesk) -> None:
    nightdesk.url = "http://127.0.0.1:9"
    nightdesk.configure(CAPS)

    done = nightdesk.launch("good")

    assert (done.code, done.json["outcome"], done.json["units"]) == (75, "not_sent", 0)


def test_a_lost_launch_through_a_trigger_is_found_and_supervised(nightdesk: Nightdesk) -> None:
    """Its trigger is deleted by the next process that supervises, once the run has ended, and its sandbox with it."""
    path = nightdesk.folder / "nightdesk.toml"
    path.write_text(path.read_text().replace("[provider]\n", '[provider]\nlaunch = "trigger"\n', 1))
    done = nightdesk.launch("lost")
    assert (done.code, done.json["outcome"]) == (0, "ok")
    assert (nightdesk.service.started(), nightdesk.service.posts()) == (1, 1)
    assert nightdesk.service.environments.deleted == []

    def is_swept() -> bool:
        nightdesk.launch("timed", "--rerun", "--reason", "once more")
        return bool(nightdesk.service.environments.deleted)

    until_sync(is_swept, what="the deletion of the trigger")
