"""`audit` lists who did what and why, as a table, JSON and CSV; `--reason` reaches it and the log."""

from __future__ import annotations

import csv
import io

import pytest

from tests.cli.nightdesk import Nightdesk


def test_reasons_of_pause_and_cancel_are_in_the_audit_and_in_the_log(nightdesk: Nightdesk) -> None:
    assert nightdesk.launch("endless", "--no-wait").code == 0
    assert nightdesk("cancel", "endless", "--reason", "it reads the wrong log").code == 0
    assert nightdesk("pause", "--reason", "the bill").code == 0
    assert nightdesk("resume").code == 0
    found = nightdesk("audit", "--json").json
    assert [(each["act"], each["why"], each["task"]) for each in found] == [
        ("resume", "", None),
        ("pause", "the bill", None),
        ("cancel", "it reads the wrong log", "endless"),
    ]
    assert {(each["terminal"], each["from"]) for each in found} == {(False, None)}
    ending = next(
        line for line in (nightdesk.state / "runs.log").read_text().splitlines() if "status=cancelled" in line
    )
    assert f' by="{found[2]["by"]}"' in ending


def test_the_audit_is_filtered_and_written_as_a_table_and_as_csv(nightdesk: Nightdesk) -> None:
    assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "=1+1").code == 0
    assert nightdesk("caps", "raise", "daily_runs", "3", "--reason", "month end").code == 0
    assert [each["act"] for each in nightdesk("audit", "--act", "raise", "--json").json] == ["raise"]
    assert nightdesk("audit", "--by", "nobody at all", "--json").json == []
    rows = list(csv.DictReader(io.StringIO(nightdesk("audit", "--csv").out)))
    assert [(row["act"], row["why"]) for row in rows] == [("raise", "month end"), ("promote", "'=1+1")]
    table = nightdesk("audit", "--limit", "1")
    assert "daily_runs +3 in" in table.out
    assert "only the newest 1 are shown" in table.err


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_time_that_is_none_is_named(nightdesk: Nightdesk, option: str) -> None:
    done = nightdesk("audit", option, "soon")
    assert done.code == 2
    assert "not a date or time: 'soon'; accepted:" in done.err
