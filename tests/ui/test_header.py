"""The header at any width: facts are shortened, and the vital figures are always there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.caps import Cap
from console.engine.models import NextLaunch, Owner, Pause, Snapshot
from console.engine.problems import Problem
from console.ui.context import SessionInfo
from console.ui.glyphs import UNICODE
from console.ui.header import Fact, Tab, alarm_lines, header_lines, shorten
from console.ui.spans import Line, Span, Tone, line, width
from console.ui.state.view_state import ViewState
from tests.ui import samples

TABS = tuple(
    Tab(key=str(number), name=name, is_shown=number == 1)
    for number, name in enumerate(("runs", "history", "rollout", "usage"), start=1)
)
ME = Owner(id="me", kind="console", pid=4121, alive=True, mine=True)
SESSION = SessionInfo(user="ops", host="web1", name="prod", folder="/srv/nd")
SERVE = Owner(id="s", kind="serve", pid=812, alive=True, mine=False)
NEXT = NextLaunch(task="nightly-report", at_ms=samples.moment(7988).wall_ms)
SNAPSHOT = Snapshot(
    taken=samples.NOW,
    live=samples.busy(),
    cap_usages=samples.cap_usages(),
    scheduler=ME,
    next_launch=NEXT,
    time_zone="Europe/Berlin",
)


def text(spans: Line) -> str:
    return "".join(span.text for span in spans)


def both(snapshot: Snapshot = SNAPSHOT, cells: int = 160, **changes: object) -> str:
    view = ViewState(snapshot=snapshot, now=samples.NOW, **changes)  # type: ignore[arg-type]  # fields of ViewState by name
    return "\n".join(text(each) for each in header_lines(view, cells, UNICODE, session=SESSION))


def test_the_header_answers_the_questions_of_a_night() -> None:
    shown = both()
    for word in (
        "7 live of 8",
        "812 spent + 460 held of 2000",
        "41 % of 20k",
        "04:20:00 CET",
        "next nightly-report in 2:13:08, 06:33",
        "scheduled by this console",
        "1 to approve",
        "1 to settle",
    ):
        assert word in shown


def test_how_far_the_database_of_several_hosts_is_away() -> None:
    assert both(replace(SNAPSHOT, round_trip_ms=3), cells=200).count("db 3 ms") == 1
    assert "db <1 ms" in both(replace(SNAPSHOT, round_trip_ms=0), cells=200)
    assert "db " not in both(cells=200)


@pytest.mark.parametrize("cells", range(40, 220, 7))
def test_both_lines_take_exactly_the_width_and_keep_the_vital(cells: int) -> None:
    view = ViewState(snapshot=SNAPSHOT, now=samples.NOW)
    for each in header_lines(view, cells, UNICODE, session=SESSION):
        assert width(each) == cells
    shown = both(cells=cells)
    assert "04:20:00" in shown
    assert "1 to settle" in shown
    if cells >= 60:
        assert "7/8 live" in shown or "7 live of 8" in shown
        assert "1272/2000" in shown or "812 spent" in shown


def test_caps_that_are_not_there_are_said_so() -> None:
    free = tuple(replace(each, limit=None) for each in SNAPSHOT.cap_usages)
    shown = both(replace(SNAPSHOT, cap_usages=free))
    assert "7 live of unlimited" in shown
    assert "1272 units, no cap" in shown


def test_a_cap_that_is_reached_is_not_calm() -> None:
    full = tuple(
        replace(each, spent=each.limit or 0) if each.cap is Cap.DAILY_UNITS else each for each in SNAPSHOT.cap_usages
    )
    view = ViewState(snapshot=replace(SNAPSHOT, cap_usages=full), now=samples.NOW)
    first, _ = header_lines(view, 160, UNICODE, session=SESSION)
    assert any(span.tone is Tone.BAD for span in first)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scheduler": None}, "NOBODY SCHEDULES   nightly-report, due 06:33, will be missed"),
        ({"scheduler": None, "schedules": True}, "next nightly-report in 2:13:08"),
        ({"paused": Pause(since_ms=0, by="bob")}, "paused: nightly-report would be due at 06:33"),
        ({"next_launch": replace(NEXT, proposes=True)}, "next nightly-report (to approve) in 2:13:08"),
        ({"scheduler": SERVE}, "scheduled by nightdesk serve (pid 812)"),
        ({"scheduler": replace(SERVE, host="web2")}, "scheduled by nightdesk serve (pid 812 on web2)"),
        ({"next_launch": None}, "nothing scheduled"),
        ({"read_only": True}, "read-only"),
    ],
)
def test_who_schedules_and_what_comes(changes: dict[str, object], words: str) -> None:
    assert words in both(replace(SNAPSHOT, **changes))  # type: ignore[arg-type]  # fields of Snapshot by name


@pytest.mark.parametrize("cells", range(40, 220, 5))
def test_that_nobody_schedules_is_loud_at_every_width(cells: int) -> None:
    view = ViewState(snapshot=replace(SNAPSHOT, scheduler=None), now=samples.NOW)
    _, second = header_lines(view, cells, UNICODE, session=SESSION, tabs=TABS)
    (loud,) = (span for span in second if "SCHEDULE" in span.text)
    assert loud.tone is Tone.LOUD
    assert "next" not in text(second)


@pytest.mark.parametrize(
    ("cells", "words"), [(160, "ops@web1  prod  /srv/nd"), (80, "prod"), (60, "prod"), (120, "ops@web1  prod")]
)
def test_the_header_says_where_it_is(cells: int, words: str) -> None:
    session = replace(SESSION, is_default_folder=False, is_demo=True)
    view = ViewState(snapshot=SNAPSHOT, now=samples.NOW)
    first, second = header_lines(view, cells, UNICODE, session=session, tabs=TABS)
    assert words in text(first)
    assert " DEMO " in text(second)


def test_alarms_come_worst_first() -> None:
    snapshot = replace(
        SNAPSHOT,
        taken=samples.moment(-75),
        paused=Pause(since_ms=samples.moment(-3600).wall_ms, by="bob tty=yes"),
        problems=(
            Problem(
                topic="offline",
                text="offline \x1b[31m",
                since_ms=samples.moment(-90).wall_ms,
                last_ms=samples.moment(-1).wall_ms,
                count=3,
            ),
        ),
    )
    alarms = alarm_lines(ViewState(snapshot=snapshot, now=samples.NOW, trouble="locked"), UNICODE)
    assert [text(alarm.line(80, UNICODE)).rstrip() for alarm in alarms] == [
        " ▲ STALE  this is the state of 75 s ago: locked",
        " ▲ PAUSED  launches paused since 03:20 by bob (terminal); press X to resume",
        " ▲ OFFLINE  offline ␛[31m (3 times in 90 s)",
    ]
    assert alarm_lines(ViewState(snapshot=SNAPSHOT, now=samples.NOW), UNICODE) == ()


@pytest.mark.parametrize("cells", range(40, 220, 9))
def test_a_database_that_does_not_answer_is_loud_at_every_width(cells: int) -> None:
    snapshot = replace(SNAPSHOT, taken=samples.moment(-7_560), round_trip_ms=3)
    view = ViewState(snapshot=snapshot, now=samples.NOW, trouble="no answer", is_cut_off=True)
    (alarm,) = alarm_lines(view, UNICODE)
    first, *_ = alarm.line(cells, UNICODE)
    assert (first.text, first.tone) == (" ▲ NO DATABASE since 02:14 ", Tone.LOUD)
    assert "db 3 ms" not in text(header_lines(view, cells, UNICODE, session=SESSION)[0])
    (stale,) = alarm_lines(replace(view, is_cut_off=False), UNICODE)
    assert "STALE" in stale.word.text


def test_a_narrow_alarm_keeps_what_to_do_about_it() -> None:
    pause = Pause(since_ms=samples.moment(-3600).wall_ms, by="root (sudo by alice; from 10.0.0.5) tty=yes")
    problem = Problem(topic="store", text="the disk " * 9, since_ms=0, last_ms=samples.NOW.wall_ms, count=1)
    snapshot = replace(SNAPSHOT, paused=pause, problems=(problem,))
    paused, other = alarm_lines(ViewState(snapshot=snapshot, now=samples.NOW), UNICODE)
    for cells in (40, 60, 80):
        assert text(paused.line(cells, UNICODE)).rstrip().endswith("; press X to resume")
        assert text(other.line(cells, UNICODE)).rstrip().endswith("…; press ! to read it")
        assert width(paused.line(cells, UNICODE)) == width(other.line(cells, UNICODE)) == cells
    assert "PAUSED  since 03:20 by root (sudo" in text(paused.line(60, UNICODE))


@pytest.mark.parametrize("cells", range(24, 60))
def test_figures_and_clock_are_never_glued_together(cells: int) -> None:
    first, _ = header_lines(ViewState(snapshot=SNAPSHOT, now=samples.NOW), cells, UNICODE, session=SESSION, tabs=TABS)
    assert "   04:20:00" in text(first)
    assert width(first) == cells


def test_tabs_keep_their_names_where_the_badges_can_do_with_fewer_words() -> None:
    view = ViewState(snapshot=SNAPSHOT, now=samples.NOW)
    _, second = header_lines(view, 80, UNICODE, session=SESSION, tabs=TABS)
    assert "1 runs  2 history 3 rollout 4 usage" in text(second)
    assert "◇ 1   ▲ 1 to settle" in text(second)
    assert "next in 2:13:08" in text(second)
    _, narrow = header_lines(view, 60, UNICODE, session=SESSION, tabs=TABS)
    assert "1 runs  2  3  4" in text(narrow)


def test_facts_are_shortened_in_the_order_of_their_worth() -> None:
    facts = (
        Fact(forms=(line("wwww"), line("ww"), ()), priority=1),
        Fact(forms=(line(Span("important")), line("imp")), priority=5),
    )
    assert text(shorten(facts, 16)) == "wwww   important"
    assert text(shorten(facts, 15)) == "ww   important"
    assert text(shorten(facts, 9)) == "important"
    assert text(shorten(facts, 8)) == "imp"
    assert text(shorten(facts, 1)) == "imp"
