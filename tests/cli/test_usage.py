"""The `usage` command: a chart on a terminal, plain text in a pipe, JSON and CSV for scripts."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from console.domain.log_record import parse_line
from tests.cli.nightdesk import Nightdesk
from tests.tree import ROOT


def test_chart_json_and_csv_have_the_same_figures(nightdesk: Nightdesk) -> None:
    units = nightdesk.launch("good").json["units"]
    nightdesk.launch("good")
    failed = nightdesk.launch("failing").json["units"]

    rows = nightdesk("usage", "--json").json
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert [(row["task"], row["units"], row["runs"], row["cost"]) for row in rows] == [
        ("failing", failed, 1, None),
        ("good", units, 1, None),
    ]
    assert {row["day"] for row in rows} <= {today, rows[0]["day"]}
    assert all(set(row) == {"day", "task", "units", "cost", "currency", "runs", "seconds"} for row in rows)
    read = list(csv.DictReader(io.StringIO(nightdesk("usage", "--csv").out)))
    assert [(row["task"], float(row["units"]), row["cost"]) for row in read] == [
        ("failing", failed, ""),
        ("good", units, ""),
    ]

    plain = nightdesk("usage")
    assert "units a day by task, last 30 days" in plain.out
    assert "\x1b" not in plain.out
    assert "good" in plain.out
    assert "\x1b[" in nightdesk("usage", "--color", "always").out
    runs = nightdesk("usage", "--by", "outcome", "--measure", "runs", "--days", "7").out
    assert "runs a day by outcome, last 7 days" in runs
    assert "failed" in runs
    assert nightdesk("usage", "--days", "0").code == 2
    assert nightdesk("usage", "--by", "colour").code == 2


def test_every_breakdown_has_the_sums_of_the_history(nightdesk: Nightdesk) -> None:
    for task in ("good", "good", "failing", "rejected", "lost"):
        nightdesk.launch(task)
    runs = nightdesk("history", "--json").json
    for group, members in {
        "task": {"good", "failing", "rejected"},
        "outcome": {"ok", "failed", "skipped", "rejected"},
        "stage": {"manual"},
        "day": {runs[0]["day"]},
    }.items():
        rows = nightdesk("usage", "--by", group, "--json").json
        assert {row[group] for row in rows} == members
        assert list(rows[0]) == list(dict.fromkeys(("day", group, "units", "cost", "currency", "runs", "seconds")))
        assert sum(row["runs"] for row in rows) == 2, "only runs that were launched and have ended count"
        assert sum(row["units"] for row in rows) == pytest.approx(sum(run["units"] or 0 for run in runs))


def test_without_runs_the_chart_is_empty(nightdesk: Nightdesk) -> None:
    assert nightdesk("usage", "--json").json == []
    assert nightdesk("usage").code == 0


def test_history_as_csv_has_all_that_its_json_has(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    nightdesk.launch("failing")
    from_json = nightdesk("history", "--json").json
    from_csv = list(csv.DictReader(io.StringIO(nightdesk("history", "--csv").out)))
    assert [row["run"] for row in from_csv] == [row["run"] for row in from_json]
    assert list(from_csv[0]) == list(from_json[0])
    assert nightdesk("history", "--csv", "--task", "nobody").out == ""


def test_the_log_takes_the_filters_of_the_history(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    nightdesk.launch("good")
    nightdesk.launch("failing")

    def statuses(*options: str) -> list[str]:
        return [line["status"] for line in nightdesk("log", "--json", *options).json]

    assert statuses("--task", "failing") == ["launched", "failed"]
    assert statuses("--outcome", "skipped") == ["skipped"]
    assert statuses("--outcome", "ok", "--outcome", "failed") == ["ok", "failed"]
    assert statuses("--origin", "schedule") == []
    assert len(statuses("--stage", "manual", "--since", "1h")) == 5
    assert statuses("--until", "1h") == []
    assert statuses("--grep", "fail launch") == ["launched"]
    assert statuses("--grep", "FAILING") == ["launched", "failed"]
    for absent in ("ailing", "🚀", "launch🚀", "failed good"):
        assert statuses("--grep", absent) == []
    assert len(statuses("--grep", "=")) == 0
    nightdesk("caps", "raise", "daily_units", "1", "--reason", "東京の日報 ✅")
    assert statuses("--grep", "日報") == statuses("--grep", "✅") == ["note"]
    assert statuses("--grep", "報日") == []
    assert nightdesk("log", "--since", "soon").code == 2
    assert "status=failed" in nightdesk("log", "--task", "failing").out


def test_a_rebuilt_log_is_the_log_and_gives_the_same_charts(nightdesk: Nightdesk) -> None:
    for task in ("good", "good", "failing", "rejected", "lost"):
        nightdesk.launch(task)
    log = nightdesk.state / "runs.log"
    before, usage = log.read_bytes(), nightdesk("usage", "--json").json
    log.unlink()
    assert nightdesk("log", "rebuild").code == 0
    assert [parse_line(line) for line in log.read_bytes().splitlines()] == [
        parse_line(line) for line in before.splitlines()
    ]
    assert log.read_bytes() == before
    assert nightdesk("usage", "--json").json == usage


def test_usage_loads_no_screen(nightdesk: Nightdesk) -> None:
    script = "import sys; from console.cli.main import entry; entry(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, "--state-dir", str(nightdesk.state), "usage", "--json"],
        cwd=nightdesk.folder,
        env={**nightdesk.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not {"textual", "plotext", "httpx", "starlette"} & set(done.stderr.split())
