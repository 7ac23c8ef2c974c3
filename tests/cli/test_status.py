"""`status` says in one object, and by its exit code, whether anything needs a person."""

from __future__ import annotations

from tests.cli.nightdesk import Nightdesk


def test_an_idle_state_folder_needs_nobody(nightdesk: Nightdesk) -> None:
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    done = nightdesk("status", "--json")
    assert done.code == 0
    assert done.json["version"] == 1
    assert done.json["alarms"] == []
    assert done.json["paused"] is None
    assert [cap["cap"] for cap in done.json["caps"]][:1] == ["daily_runs"]
    assert done.json["counts"]["running"] == 0
    assert nightdesk("status").out.splitlines()[-1] == "nothing needs a person"


def test_a_pause_an_unconfirmed_run_and_a_schedule_that_nobody_keeps_are_alarms(nightdesk: Nightdesk) -> None:
    assert nightdesk("run", "lost", "--origin", "manual").code == 7
    assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test").code == 0
    assert nightdesk("pause").code == 0
    done = nightdesk("status", "--json")
    assert done.code == 1
    assert {"launches are paused", "nobody schedules", "1 run to settle"} <= set(done.json["alarms"])
    assert done.json["nobody_schedules"] is True
    assert done.json["next"]["task"] == "nightly"
    assert done.json["next"]["proposed"] is True
    assert done.json["counts"]["unconfirmed"] == 1
    assert "needs a person: 1 run to settle" in nightdesk("status").out
