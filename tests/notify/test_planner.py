"""Each notice leaves once, not too often, and not in quiet hours unless it is urgent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from console.config.settings import NotifySettings, QuietHours
from console.domain.formatting import HOUR, MINUTE, SECOND
from console.domain.notice import Notice, NoticeKind
from console.domain.task import Stage
from console.notify.history import FILE, NoticeHistory, read_history
from console.notify.planner import AGAIN_MS, Planner
from console.trusted_files import replace_private
from tests.notify.samples import NOON, USE, ZONE, notice

CUT_OFF = notice(NoticeKind.CUT_OFF, ending=True)
LOST = notice(NoticeKind.UNCONFIRMED)
STALLED = notice(NoticeKind.STALLED)
NIGHT = replace(USE, quiet=QuietHours(begin=11 * 60, end=13 * 60))


class Days:
    """A planner, what stands, and the clock."""

    def __init__(self, use: NotifySettings = USE, *, history: NoticeHistory | None = None) -> None:
        self.planner = Planner(history or NoticeHistory())
        self.use = use
        self.now_ms = NOON
        self.stages: Mapping[str, Stage] = {}

    def plan(self, *standing: Notice, after: int = 0) -> list[str]:
        """The texts that leave `after` milliseconds later, told at once."""
        self.now_ms += after
        leaving = self.planner.plan(standing, self.stages, self.now_ms, self.use, ZONE)
        self.planner.finished(leaving)
        return [each.text for each in leaving]


def test_each_notice_leaves_once_and_the_most_urgent_first() -> None:
    days = Days()
    assert days.plan(STALLED, LOST) == ["unconfirmed 1", "stalled 1"]
    assert days.plan(STALLED, LOST, after=HOUR) == []


def test_what_comes_back_is_told_again_only_after_a_while() -> None:
    days = Days()
    assert days.plan(STALLED) == ["stalled 1"]
    assert days.plan() == []
    assert days.plan(STALLED, after=AGAIN_MS // 2) == []
    assert days.plan(after=SECOND) == []
    assert days.plan(after=AGAIN_MS + SECOND) == []
    assert days.plan(STALLED) == ["stalled 1"]


def test_notices_of_one_kind_are_collected_and_those_of_another_are_not_delayed() -> None:
    days = Days()
    many = [notice(NoticeKind.CUT_OFF, str(number), ending=True) for number in range(4)]
    assert days.plan(many[0]) == ["cut_off 0"]
    assert days.plan(*many, after=SECOND) == []
    assert days.plan(*many, LOST, after=SECOND) == ["unconfirmed 1"]
    assert days.plan(*many, LOST, after=MINUTE) == ["cut_off 1", "cut_off 2", "cut_off 3"]


def test_a_condition_that_is_over_before_its_turn_is_not_told_and_an_ending_is() -> None:
    days = Days()
    assert days.plan(STALLED, CUT_OFF) == ["cut_off 1", "stalled 1"]
    other, later = notice(NoticeKind.STALLED, "2"), notice(NoticeKind.CUT_OFF, "2", ending=True)
    assert days.plan(other, later, after=SECOND) == []
    assert days.plan(after=MINUTE) == ["cut_off 2"]


def test_in_quiet_hours_only_what_is_urgent_leaves_and_the_rest_at_their_end() -> None:
    days = Days(NIGHT)
    assert days.plan(CUT_OFF, LOST) == ["unconfirmed 1"]
    assert days.plan(CUT_OFF, LOST, after=59 * MINUTE) == []
    assert days.plan(CUT_OFF, LOST, after=MINUTE) == ["cut_off 1"]


def test_quiet_hours_may_span_midnight() -> None:
    quiet = QuietHours(begin=22 * 60, end=7 * 60)
    assert [quiet.holds(60 * hour) for hour in (21, 22, 23, 0, 6, 7, 12)] == [
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_what_was_over_before_anybody_was_told_is_not_told_at_the_first_start() -> None:
    planner = Planner(None)
    assert [each.text for each in planner.plan((CUT_OFF, LOST), {}, NOON, USE, ZONE)] == ["unconfirmed 1"]


def test_a_restart_repeats_and_forgets_nothing(tmp_path: Path) -> None:
    days = Days()
    assert days.plan(CUT_OFF, LOST) == ["unconfirmed 1", "cut_off 1"]
    replace_private(tmp_path / FILE, days.planner.history.to_json())
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    later = notice(NoticeKind.CUT_OFF, "2", ending=True)
    again = Days(history=read_history(tmp_path))
    assert again.plan(CUT_OFF, LOST, later, after=MINUTE) == ["cut_off 2"]


def test_a_message_that_did_not_leave_before_a_restart_leaves_after_it() -> None:
    planner = Planner(NoticeHistory())
    assert planner.plan((LOST,), {}, NOON, USE, ZONE) == (LOST,)
    assert planner.plan((LOST,), {}, NOON + MINUTE, USE, ZONE) == (), "it is under way"
    told = NoticeHistory(**{name: json.loads(planner.history.to_json())[name] for name in ("gone", "sent")})
    assert Planner(told).plan((LOST,), {}, NOON + 2 * MINUTE, USE, ZONE) == (LOST,)


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"version": 1}', '{"gone": [], "stages": {}, "sent": {}, "summary": ""}', "\x00"):
        (tmp_path / FILE).write_text(text, encoding="utf-8")
        assert read_history(tmp_path) is None


def test_a_demotion_leaves_once_and_a_promotion_never() -> None:
    days = Days()
    days.stages = {"a": Stage.SEMI}
    assert days.plan() == []
    days.stages = {"a": Stage.UNATTENDED}
    assert days.plan(after=SECOND) == []
    days.stages = {"a": Stage.SEMI}
    assert days.plan(after=SECOND) == ["a was demoted to semi"]
    assert days.plan(after=HOUR) == []
    days.stages = {"a": Stage.MANUAL}
    assert days.plan(after=SECOND) == ["a was demoted to manual"]


def test_kinds_that_nobody_asked_for_do_not_leave_and_not_later_either() -> None:
    days = Days(replace(USE, kinds=frozenset({"unconfirmed"})))
    assert days.plan(CUT_OFF, STALLED, LOST) == ["unconfirmed 1"]
    days.use = USE
    assert days.plan(CUT_OFF, STALLED, LOST, after=HOUR) == ["stalled 1"], "what still stands is told"


def test_a_restart_of_the_scheduler_is_not_told() -> None:
    nobody = notice(NoticeKind.NOBODY_SCHEDULES, "")
    days = Days()
    assert days.plan(nobody) == []
    assert days.plan(nobody, after=30 * SECOND) == []
    assert days.plan(after=SECOND) == []
    assert days.plan(nobody, after=SECOND) == []
    assert days.plan(nobody, after=MINUTE) == ["nobody_schedules "]


def test_a_cap_that_is_reached_is_not_told_as_nearly_reached_afterwards() -> None:
    near = notice(NoticeKind.CAP_NEAR, "daily_units 5")
    reached = replace(notice(NoticeKind.CAP_REACHED, "daily_units 5"), covers=(near.id,))
    days = Days()
    assert days.plan(reached) == ["cap_reached daily_units 5"]
    assert days.plan(near, after=MINUTE) == []
    assert days.plan(reached, after=MINUTE) == []


def test_while_the_store_cannot_be_read_the_trouble_is_told_and_nothing_is_forgotten() -> None:
    trouble = notice(NoticeKind.TROUBLE, "store")
    days = Days()
    assert days.plan(CUT_OFF) == ["cut_off 1"]
    leaving = days.planner.plan_in_trouble((trouble,), days.now_ms + 3 * HOUR, USE, ZONE)
    assert [each.text for each in leaving] == ["trouble store"]
    days.planner.finished(leaving)
    assert days.plan(CUT_OFF, after=3 * HOUR) == []


def test_the_summary_is_due_once_a_day_and_late_rather_than_never() -> None:
    use = replace(USE, summary=8 * 60)
    planner = Planner(NoticeHistory(summary="2026-11-22"))
    assert planner.summary_is_due(NOON, use, ZONE), "nobody ran at eight"
    assert not planner.summary_is_due(NOON + HOUR, use, ZONE)
    assert not planner.summary_is_due(NOON + 19 * HOUR, use, ZONE), "seven in the morning"
    assert planner.summary_is_due(NOON + 20 * HOUR, use, ZONE)
    assert not Planner(NoticeHistory()).summary_is_due(NOON, USE, ZONE)


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    days = Days()
    assert days.plan(LOST) == ["unconfirmed 1"]
    assert days.plan(notice(NoticeKind.UNCONFIRMED, "2"), after=-10 * HOUR) == ["unconfirmed 2"]
