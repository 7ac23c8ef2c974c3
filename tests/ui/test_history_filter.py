"""The filter: what it accepts, what it says about invalid text, and how it completes."""

from __future__ import annotations

from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.engine.models import HistoryFilter
from console.ui.filtering.line import FilterError
from console.ui.history.filter import (
    FilterContext,
    complete,
    completions,
    parse_filter,
    without_unfinished_name,
)
from tests.ui import samples

HERE = FilterContext(
    now_ms=samples.NOW.wall_ms, zone=ZoneInfo("Europe/Berlin"), tasks=("crawl-docs", "crawl-site", "triage")
)
DAY_MS = 86_400_000
MIDNIGHT_MS = samples.NOW.wall_ms - (4 * 3600 + 20 * 60) * 1000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", HistoryFilter(folded=True)),
        ("task:triage", HistoryFilter(tasks=("triage",), folded=True)),
        ("task:gone,triage", HistoryFilter(tasks=("gone", "triage"), folded=True)),
        ("since:2026-11-23", HistoryFilter(since_ms=MIDNIGHT_MS, folded=True)),
        ("since:7d", HistoryFilter(since_ms=samples.NOW.wall_ms - 7 * DAY_MS, folded=True)),
        ("until:2026-11-23", HistoryFilter(until_ms=MIDNIGHT_MS + DAY_MS)),
        ("outcome:failed,timeout", HistoryFilter(outcomes=(Outcome.FAILED, Outcome.TIMEOUT))),
        ("OUTCOME:failed", HistoryFilter(outcomes=(Outcome.FAILED,))),
        ("stage:semi origin:manual", HistoryFilter(stages=(Stage.SEMI,), origins=(Origin.MANUAL,))),
        ("broken pipe", HistoryFilter(text="broken pipe")),
        ('"outcome:ok" x', HistoryFilter(text="outcome:ok x")),
        ("task:triage error", HistoryFilter(tasks=("triage",), text="error")),
    ],
)
def test_each_filter_alone_and_together(text: str, wanted: HistoryFilter) -> None:
    assert parse_filter(text, HERE) == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("outcom:ok", "did you mean outcome:?"),
        ("https://example.org", '"quotes"'),
        ("outcome:nice", "unknown outcome: nice; accepted: ok, failed"),
        ("stage:auto", "unknown stage: auto; accepted: manual, semi, unattended"),
        ("origin:cron", "unknown origin: cron; accepted: manual, schedule"),
        ("since:soon", "since: takes a day (2026-11-23)"),
        ("since:1d since:2d", "since: is given twice"),
        ("until:2026-13-01", "until: takes a day"),
        ("task:", "task: takes a task's name"),
    ],
)
def test_a_bad_filter_is_one_clear_line(text: str, told: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text, HERE)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(text=st.text(max_size=60))
def test_whatever_is_typed_is_a_filter_or_one_line(text: str) -> None:
    with suppress(FilterError):
        parse_filter(text, HERE)
    completions(text, HERE)
    assert complete(text, HERE).startswith(text.rpartition(" ")[0])
    assert text.startswith(without_unfinished_name(text))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("o", "o"),
        ("ou", "outcome:"),
        ("outcome:fa", "outcome:failed "),
        ("outcome:ok,fa", "outcome:ok,failed "),
        ("task:c", "task:crawl-"),
        ("task:crawl-s", "task:crawl-site "),
        ("words st", "words stage:"),
        ("nothing", "nothing"),
        ("since:7", "since:7"),
    ],
)
def test_tab_goes_as_far_as_there_is_only_one_way(text: str, after: str) -> None:
    assert complete(text, HERE) == after


def test_what_may_become_a_filter_is_no_word_yet() -> None:
    assert without_unfinished_name("error outc") == "error "
    assert without_unfinished_name("error outc ") == "error outc "
    assert without_unfinished_name("error") == "error"
