"""`next` lists what the schedules are going to do; `stage` says what a promotion can cost."""

from __future__ import annotations

from tests.cli.nightdesk import Nightdesk


def test_next_says_what_will_come_of_each_time_and_that_nobody_schedules(nightdesk: Nightdesk) -> None:
    (entry,) = nightdesk("next", "--json").json["entries"]
    assert (entry["task"], entry["effect"], entry["why"]) == ("nightly", "refused", "the task is at stage manual")
    assert entry["utc"].endswith("T03:00:00.000Z")
    assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test").code == 0
    found = nightdesk("next", "--hours", "48", "--json").json
    assert [(each["effect"], each["room"]) for each in found["entries"]] == [("proposal", "fits")] * 2
    assert found["nobody_schedules"] is True
    done = nightdesk("next")
    assert done.code == 0
    assert done.out.splitlines()[0].split() == ["LOCAL", "UTC", "TASK", "WHAT", "HOLD", "ROOM", "WHY"]
    assert "nobody schedules" in done.err


def test_next_takes_hours_within_bounds(nightdesk: Nightdesk) -> None:
    done = nightdesk("next", "--hours", "0")
    assert done.code == 2
    assert "1<=x<=744" in done.err


def test_a_promotion_says_the_most_that_a_day_can_take(nightdesk: Nightdesk) -> None:
    done = nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test")
    assert "By its schedule at most 1 run a day: 50 units, cost unknown: its model has no price." in done.err
    assert "daily_units is 2000; no other schedule: 2000 left." in done.err
    assert nightdesk("stage", "nightly", "--json").json[0]["a_day_at_most"]["runs"] == 1
    assert nightdesk("stage", "--json").json[0]["a_day_at_most"] is None
