"""The filter: what it accepts, what it says about invalid text, and how it completes."""

from __future__ import annotations

from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.engine.models import Bound, HistoryFilter
from console.ui.filtering.terms import FilterContext, FilterError
from console.ui.history.filter import HistoryGrammar, parse_filter
from tests.ui import samples

HERE = FilterContext(
    now_ms=samples.NOW.wall_ms, zone=ZoneInfo("Europe/Berlin"), tasks=("crawl-docs", "crawl-site", "triage")
)
GRAMMAR = HistoryGrammar(lambda: HERE, "…")
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
        ("task:a task:b", HistoryFilter(tasks=("a", "b"), folded=True)),
        ("-outcome:ok", HistoryFilter(without=(HistoryFilter(outcomes=(Outcome.OK,)),))),
        (
            "-task:a,b -stage:semi",
            HistoryFilter(without=(HistoryFilter(tasks=("a", "b")), HistoryFilter(stages=(Stage.SEMI,)))),
        ),
        ('-flaky -"two words" kept', HistoryFilter(text="kept", without_text="flaky two words")),
        ("key:EA66,9f", HistoryFilter(keys=("ea66", "9f"))),
        ("target:acme/site", HistoryFilter(targets=("acme/site",))),
        ("cost:>1", HistoryFilter(costs=(Bound(least=True, value=1_000_000),))),
        (
            "-cost:>=0.5",
            HistoryFilter(without=(HistoryFilter(costs=(Bound(least=True, value=500_000, inclusive=True),)),)),
        ),
        (
            "units:>5,<=20",
            HistoryFilter(used=(Bound(least=True, value=5_000), Bound(least=False, value=20_000, inclusive=True))),
        ),
        (
            "units:=5",
            HistoryFilter(
                used=(
                    Bound(least=True, value=5_000, inclusive=True),
                    Bound(least=False, value=5_000, inclusive=True),
                )
            ),
        ),
        ("provider:claude,codex", HistoryFilter(providers=("claude", "codex"))),
        ("-provider:claude", HistoryFilter(without=(HistoryFilter(providers=("claude",)),))),
        ("today", HistoryFilter(since_ms=MIDNIGHT_MS, folded=True)),
        ("yesterday", HistoryFilter(since_ms=MIDNIGHT_MS - DAY_MS, until_ms=MIDNIGHT_MS)),
        ("since:sun", HistoryFilter(since_ms=MIDNIGHT_MS - DAY_MS, folded=True)),
        ("since:mon until:today", HistoryFilter(since_ms=MIDNIGHT_MS, until_ms=MIDNIGHT_MS + DAY_MS)),
        ("since:03:00", HistoryFilter(since_ms=MIDNIGHT_MS + 3 * 3_600_000, folded=True)),
        ("since:23:30", HistoryFilter(since_ms=MIDNIGHT_MS - 1_800_000, folded=True)),
        ('"today"', HistoryFilter(text="today")),
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
        ("since:soon", "since: takes a day (2026-11-23, today"),
        ("since:1d since:2d", "since: is given twice"),
        ("until:2026-13-01", "until: takes a day"),
        ("task:", "task: takes a task's name"),
        ("cost:1", "cost: takes a comparison such as >1"),
        ("units:>nan", "units: takes a comparison"),
        ("cost:>1e99", "cost: takes a comparison"),
        ("-since:1d", "-since: is not a filter; until: is its opposite"),
        ("-outcome:", "outcome: takes ok, failed"),
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
    GRAMMAR.help(text, "", 80)
    assert GRAMMAR.complete(text).startswith(text.rpartition(" ")[0])
    assert text.startswith(GRAMMAR.without_unfinished(text))


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
        ("-outcome:fa", "-outcome:failed "),
        ("-tas", "-task:"),
        ("ke", "key:"),
    ],
)
def test_tab_goes_as_far_as_there_is_only_one_way(text: str, after: str) -> None:
    assert GRAMMAR.complete(text) == after


def test_what_may_become_a_filter_is_no_word_yet() -> None:
    assert GRAMMAR.without_unfinished("error outc") == "error "
    assert GRAMMAR.without_unfinished("error outc ") == "error outc "
    assert GRAMMAR.without_unfinished("error") == "error"
