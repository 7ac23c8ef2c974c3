"""Exports: every matching entry and no other, private to the owner, safe in a spreadsheet, never over a file."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.run import Outcome, Run, State
from console.engine.models import HistoryFilter
from console.engine.run_json import csv_text, plain
from console.ui.history.export import EXPORT_PAGE, export
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine


def engine(count: int) -> FakeEngine:
    runs: list[Run] = [samples.run(number, State.ENDED, outcome=Outcome.OK) for number in range(count)]
    return FakeEngine(recent=runs)


def names(folder: Path) -> list[str]:
    """What is in the folder."""
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("count", [0, 1, EXPORT_PAGE, EXPORT_PAGE + 1])
async def test_every_entry_is_written_once_in_either_form(tmp_path: Path, count: int) -> None:
    made, now = engine(count), samples.NOW
    assert await export(made.queries, HistoryFilter(), tmp_path / "all.json", now) == count
    assert await export(made.queries, HistoryFilter(), tmp_path / "all.csv", now) == count
    from_json = json.loads((tmp_path / "all.json").read_text())
    with (tmp_path / "all.csv").open(newline="") as file:
        from_csv = list(csv.DictReader(file))
    ids = sorted(run.id for run in made.recent)
    assert sorted(row["run"] for row in from_json) == ids
    assert sorted(row["run"] for row in from_csv) == ids


async def test_only_the_owner_may_read_it_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    await export(engine(1).queries, HistoryFilter(), path, samples.NOW)
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        await export(engine(3).queries, HistoryFilter(), path, samples.NOW)
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(OSError, match="link"):
        await export(engine(3).queries, HistoryFilter(), tmp_path / "link.csv", samples.NOW)
    with pytest.raises(ValueError, match=r"\.csv or \.json"):
        await export(engine(3).queries, HistoryFilter(), tmp_path / "all.xls", samples.NOW)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["all.csv", "link.csv"]


async def test_where_the_store_fails_nothing_half_is_left(tmp_path: Path) -> None:
    made = engine(2)
    made.broken = RuntimeError("gone")
    with pytest.raises(RuntimeError):
        await export(made.queries, HistoryFilter(), tmp_path / "all.json", samples.NOW)
    assert names(tmp_path) == []


async def test_what_an_agent_wrote_is_no_formula(tmp_path: Path) -> None:
    made = engine(1)
    made.recent = [replace(made.recent[0], note='=HYPERLINK("http://x")', trouble="@SUM(A1)")]
    await export(made.queries, HistoryFilter(), tmp_path / "all.csv", samples.NOW)
    with (tmp_path / "all.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["note"] == '\'=HYPERLINK("http://x")'
    assert row["trouble"] == "'@SUM(A1)"


@given(text=st.text())
def test_any_text_survives_the_form(text: str) -> None:
    written = csv_text([{"text": text}], head=True)
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    # The reader of the standard library ends a record at a bare carriage return only outside quotes.
    assert row["text"] == plain(text)
    assert not row["text"].startswith(("=", "+", "-", "@"))
