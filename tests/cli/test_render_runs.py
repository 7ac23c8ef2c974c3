"""The progress lines of a run, and the parsing of times that users type."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from console.cli.render.runs import (
    LIVE_COLUMNS,
    PAST_COLUMNS,
    cap_usage_line,
    live_rows,
    needed_columns,
    past_rows,
    progress_key,
    progress_line,
    time_left,
)
from console.domain.caps import Cap, CapUsage
from console.domain.run import Outcome, State, StopReason
from console.domain.timestamps import parse_instant
from tests.cli.runs import NOW, START_MS, ended, history_entry, run, stopping

BERLIN = ZoneInfo("Europe/Berlin")
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T03:00Z", START_MS),
        ("2026-11-23T04:00", START_MS),
        ("2026-11-23T04:00:00+01:00", START_MS),
        ("2026-11-23", START_MS - 4 * 3_600_000),
        ("90m", START_MS - 90 * 60_000),
        ("7d", START_MS - 7 * DAY_MS),
    ],
)
def test_typed_times_are_parsed(text: str, expected: int) -> None:
    assert parse_instant(text, now_ms=START_MS, zone=BERLIN) == expected


def test_until_a_day_includes_it_also_when_it_is_25_hours_long() -> None:
    begin = parse_instant("2026-10-25", now_ms=START_MS, zone=BERLIN)
    end = parse_instant("2026-10-25", now_ms=START_MS, zone=BERLIN, end_of_day=True)

    assert end - begin == 25 * 3_600_000


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-02-30", "7x", "-1d", "9999-12-31T23:59:59-23:59"])
def test_invalid_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="accepted: a day"):
        parse_instant(text, now_ms=START_MS, zone=BERLIN, end_of_day=True)


def test_every_state_has_its_line() -> None:
    for state in State:
        assert "report 01kb00000000: " in progress_line(run(state=state))
    assert "may be running" in progress_line(run(state=State.UNCONFIRMED))
    assert "nightdesk approve 01kb00000000" in progress_line(run(state=State.PROPOSED))
    assert "ok after 6:52, 38.2 of 50.0 units" in progress_line(ended(Outcome.OK))


def test_a_stop_is_never_called_an_end() -> None:
    line = progress_line(stopping(StopReason.TIMEOUT, alarmed=True))

    assert "stopping (timeout), waiting for the service to confirm" in line
    assert "stop not confirmed for 10 minutes" in line


def test_only_changes_are_printed() -> None:
    assert progress_key(run()) == progress_key(run(polled_ms=START_MS, last_step="another", used=38_300))
    assert progress_key(run()) != progress_key(run(used=45_000))
    assert progress_key(run()) != progress_key(run(trouble="offline"))


def test_agent_text_is_sanitized() -> None:
    hostile = "\x1b]0;x\x07[/]"
    told = progress_line(run(trouble=hostile, remote_status=hostile, note=hostile))

    assert "\x1b" not in told
    assert "\x07" not in told


def test_the_time_left_is_that_of_live_runs() -> None:
    assert time_left(run(), START_MS + 2_000) == "9:58"
    assert time_left(ended(Outcome.OK), START_MS) == ""


def test_every_row_has_every_column() -> None:
    runs = [run(), stopping(), ended(Outcome.TIMEOUT), history_entry(Outcome.SKIPPED, "done"), run(sent=None)]

    assert {len(row) for row in live_rows(runs, NOW)} == {len(LIVE_COLUMNS)}
    assert {len(row) for row in past_rows(runs, NOW, "Europe/Berlin")} == {len(PAST_COLUMNS)}


def test_the_provider_is_a_column_of_its_own_that_can_be_left_out() -> None:
    other = run()
    other = replace(other, fingerprint=replace(other.fingerprint, provider="research"))
    for columns, rows in ((LIVE_COLUMNS, live_rows([other], NOW)), (PAST_COLUMNS, past_rows([other], NOW, "UTC"))):
        assert "research" in [cell.text for cell in rows[0]]
        fewer, shorter = needed_columns(columns, rows, [other], several_providers=False)
        assert {"PROVIDER", "HOST"}.isdisjoint(column.title for column in fewer)
        assert len(shorter[0]) == len(fewer)
        assert "research" not in [cell.text for cell in shorter[0]]
        hosted, _ = needed_columns(columns, rows, [replace(other, host="web1")], several_providers=True)
        assert hosted == list(columns)


def test_cap_usages_are_in_units_or_launches() -> None:
    units = CapUsage(cap=Cap.DAILY_UNITS, limit=2_000_000, held=50_000, spent=38_200, frees_at_ms=None)
    runs = CapUsage(cap=Cap.DAILY_RUNS, limit=None, held=1, spent=2, frees_at_ms=None)

    assert cap_usage_line(units) == "daily_units: 50.0 held + 38.2 spent of 2000.0"
    assert cap_usage_line(runs) == "daily_runs: 1 held + 2 spent of unlimited"
