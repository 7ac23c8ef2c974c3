"""A run as facts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.domain.run import Limits, Outcome, Run, State
from console.domain.task import CutOff
from console.engine.models import Owner, Snapshot
from console.ui.glyphs import UNICODE
from console.ui.runs.cells import kind_word
from console.ui.runs.detail_lines import detail_lines
from console.ui.runs.lines import facts, projection, result_lines, steps
from console.ui.spans import Line, width, wrapped
from console.ui.state.view_state import ViewState
from tests.ui import samples

ME = Owner(id="me", kind="console", pid=4121, alive=True, mine=True)
SNAPSHOT = Snapshot(taken=samples.NOW, time_zone="Europe/Berlin", owners={"me": ME})
VIEW = ViewState(snapshot=SNAPSHOT, now=samples.NOW)


def text(lines: list[Line]) -> str:
    return "\n".join("".join(span.text for span in each).rstrip() for each in lines)


def said(run: Run, view: ViewState = VIEW, cells: int = 100) -> str:
    return text(facts(run, view, cells, UNICODE, detail=samples.detail(run)))


@pytest.mark.parametrize("cells", [30, 49, 64, 100])
@pytest.mark.parametrize("run", [*samples.busy(), *samples.ended()], ids=lambda run: run.outcome or run.state)
def test_no_line_is_wider_than_its_place(run: Run, cells: int) -> None:
    for each in (
        *facts(run, VIEW, cells, UNICODE, detail=samples.detail(run)),
        *steps(samples.detail(run), VIEW, cells, 9, UNICODE),
        *detail_lines(run, samples.detail(run), VIEW, cells, UNICODE),
    ):
        assert width(each) <= cells


def test_everything_an_operator_asks_about_a_live_run_is_there() -> None:
    shown = said(samples.busy()[3])
    for word in (
        "● running, supervised by this console",
        "9:48 at 04:29:48, limit 15 min",
        "38.2 of 80 units, 47 %",
        "382 000  286 500 in, 95 500 out",
        "0.8786 USD, at most 4.20 USD",
        "in_progress, 2 s ago",
        "own sandbox env-0004",
        "by schedule at stage unattended, 04:14  cron (script)",
        "attempt 1",
        "gemini-3.8-flash",
    ):
        assert word in shown, word


@pytest.mark.parametrize(
    ("owners", "guarded", "words"),
    [
        ({}, True, "supervised by this console"),
        ({}, False, "supervised by a process that has ended"),
        ({"me": replace(ME, mine=False, kind="serve")}, False, "supervised by nightdesk serve (pid 4121)"),
        (
            {"me": replace(ME, mine=False, kind="run", alive=False)},
            False,
            "supervised by nightdesk run (pid 4121), which has ended",
        ),
    ],
)
def test_who_guards_it(owners: dict[str, Owner], guarded: bool, words: str) -> None:
    run = samples.run(4)
    view = replace(VIEW, snapshot=replace(SNAPSHOT, owners=owners), guarded=frozenset({run.id} if guarded else ()))
    assert words in said(run, view)


def test_an_unconfirmed_run_says_what_may_be_and_what_to_do() -> None:
    shown = said(samples.unconfirmed())
    assert "IT MAY BE RUNNING" in shown
    assert "Its key and hold stay taken until it is settled (press s)" in shown.replace("\n", " ")
    assert "the connection broke after the request was sent" in shown


@pytest.mark.parametrize("prepared", ["sandbox", "session"])
def test_what_is_deleted_at_the_deadline_is_named_as_its_service_names_it(prepared: str) -> None:
    run = samples.unconfirmed()
    detail = replace(samples.detail(run), prepared=prepared)
    assert f"Its {prepared} will be deleted at" in text(facts(run, VIEW, 200, UNICODE, detail=detail))
    assert "Its sandbox or session will be deleted at" in text(facts(run, VIEW, 200, UNICODE)), "not known yet"


@pytest.mark.parametrize("cells", [40, 58, 78])
def test_a_fact_that_is_too_long_is_wrapped_below_its_label(cells: int) -> None:
    run = samples.proposal()
    lines = text(facts(run, VIEW, cells, UNICODE, detail=samples.detail(run))).splitlines()
    assert "press a to approve, d to decline, 3:12:00 left" in " ".join(" ".join(lines).split())
    assert "…" not in "".join(lines)
    labels = {each[:11].strip() for each in lines} - {""}
    assert labels == {"state", "time", "budget", "cost", "launch", "key", "agent"}


def test_a_stop_shows_its_progress_and_an_ended_run_how_it_was_stopped() -> None:
    assert "since 04:18:20 (1:40), 4 cancels sent" in said(samples.stopping())
    assert "STOP NOT PROVEN" in said(samples.stopping(alarmed=True))
    ended = replace(samples.stopping(), state=State.ENDED, outcome=Outcome.TIMEOUT, ended_ms=samples.NOW.wall_ms)
    assert "timeout by nightdesk, asked at 04:18:20, 4 cancels sent" in said(ended)


def test_a_rule_that_cuts_off_before_the_cap_is_said() -> None:
    run = samples.run(4, used=38)
    limits: Limits = replace(run.limits, cut_off=CutOff.BEFORE)
    assert "most expensive step 3.8 units, stopped before the budget" in said(replace(run, limits=limits))


def test_what_changed_in_the_task_since_is_named() -> None:
    run = samples.run(4)
    detail = replace(samples.detail(run), changed_since=("model: a -> b",))
    assert "changed    model: a -> b" in text(facts(run, VIEW, 80, UNICODE, detail=detail))


def test_a_coming_retry_and_a_successor_are_shown() -> None:
    run = replace(samples.ended()[3], retry_at_ms=samples.moment(60).wall_ms, superseded_by=samples.run(9).id)
    assert "automatically at 04:21" in said(run)
    assert samples.run(9).id in said(run)


def test_the_newest_steps_are_kept_and_the_result_is_below() -> None:
    run = samples.run(4, used=38)
    shown = text(steps(samples.detail(run), VIEW, 80, 3, UNICODE))
    assert "Comparing error rates" in shown
    assert "Planning" not in shown
    ended = replace(samples.ended()[0], result="Draft opened.\n\nThree errors.\x1b[2J")
    shown = text(steps(samples.detail(ended), VIEW, 80, 9, UNICODE))
    assert shown.endswith("result\nDraft opened.\n\nThree errors.␛[2J")


def test_a_run_without_steps_says_so() -> None:
    assert text(steps(samples.detail(samples.proposal()), VIEW, 80, 9, UNICODE)) == "no step yet"


def test_the_whole_run_has_its_sections() -> None:
    run = samples.ended()[0]
    detail = replace(samples.detail(run), attempts=(samples.ended()[3], run))
    shown = text(detail_lines(run, detail, VIEW, 100, UNICODE))
    for title in ("timeline", "steps, newest last", "attempts of this key", "result"):
        assert f"\n\n{title}\n" in shown
    assert "this one" in shown
    assert detail_lines(run, None, VIEW, 100, UNICODE)


def test_a_result_of_any_size_is_bounded() -> None:
    endless = replace(samples.ended()[0], result="x\n" * 100_000)
    assert len(result_lines(endless, 80, UNICODE)) <= 201


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Mn", "Me", "Cn", "Co"))),
    st.integers(2, 30),
)
def test_wrapping_loses_nothing_but_blanks(words: str, cells: int) -> None:
    pieces = wrapped(words, cells)
    assert all(cell_len(piece) <= cells for piece in pieces)
    assert "".join(pieces).replace(" ", "") == words.replace(" ", "")


def test_kinds_of_steps_are_words() -> None:
    assert kind_word("code_execution_result") == "code result"
    assert kind_word("thought") == "thought"


@pytest.mark.parametrize(
    ("used", "sent_ago", "words"),
    [
        (40.0, 300, "at this rate the budget is reached in 5:00"),
        (20.0, 450, "at this rate 40 units at the time limit"),
        (20.0, 9, None),
        (0.0, 300, None),
        (80.0, 300, None),
        (96.2, 300, None),
    ],
)
def test_where_the_budget_is_going(used: float, sent_ago: float, words: str | None) -> None:
    run = samples.run(4, used=used, sent_ago=sent_ago)
    found = projection(run, VIEW)
    assert (found.text if found else None) == words
    assert words is None or words in said(run)


@pytest.mark.parametrize("run", [samples.stopping(), samples.proposal(), samples.unconfirmed(), *samples.ended()])
def test_only_what_runs_on_has_a_rate(run: Run) -> None:
    assert projection(run, VIEW) is None


@pytest.mark.parametrize("run", [samples.proposal(), samples.unconfirmed(), samples.stopping(alarmed=True)])
def test_a_read_only_console_names_no_key_that_it_does_not_have(run: Run) -> None:
    def shown(view: ViewState) -> str:
        return " ".join("".join(span.text for span in each).strip() for each in facts(run, view, 60, UNICODE))

    keys = re.compile(r"press [adsx]\b")
    assert keys.search(shown(VIEW))
    assert not keys.search(shown(replace(VIEW, snapshot=replace(SNAPSHOT, read_only=True))))
