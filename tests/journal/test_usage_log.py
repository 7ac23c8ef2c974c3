"""The totals follow the log through rotation, rebuilds and other writers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.log_record import LogRecord, format_line, parse_line
from console.domain.usage_stats import sum_totals
from console.journal.aggregate import UsageLog
from console.journal.daily_totals import DailyTotals
from console.journal.runs_log import LogWriter
from tests.journal.lines import logs
from tests.journal.processes import append_and_rotate, started
from tests.journal.samples import ending


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.log"


@pytest.fixture
def writer(path: Path) -> Iterator[LogWriter]:
    with closing(LogWriter(path)) as writer:
        yield writer


def units(usage: UsageLog) -> int:
    return sum_totals(usage.totals.buckets()).units


def test_a_refresh_reads_only_new_bytes(path: Path, writer: LogWriter) -> None:
    with UsageLog(path) as usage:
        assert list(usage.catch_up()) == []
        writer.append([ending(ev) for ev in range(1, 101)], sync=False)
        assert sum(usage.catch_up()) == path.stat().st_size
        assert units(usage) == 100 * 500
        line = ending(101)
        writer.append([line], sync=False)
        assert list(usage.catch_up()) == [len(format_line(line))]
        assert units(usage) == 101 * 500
        assert list(usage.catch_up()) == []


def test_damage_is_reported_and_duplicates_count_once(path: Path, writer: LogWriter) -> None:
    writer.append([ending(ev) for ev in (1, 2, 2, 5)], sync=False)
    with path.open("ab") as file:
        file.write(b"not ours\n" + format_line(ending(6))[:40])
    with UsageLog(path) as usage:
        usage.refresh()
        assert (units(usage), usage.foreign, usage.duplicates, usage.gaps) == (3 * 500, 1, 1, ((3, 4),))


def test_the_old_totals_are_shown_while_a_rebuilt_log_is_read_again(path: Path, writer: LogWriter) -> None:
    writer.append([ending(ev) for ev in range(1, 11)], sync=False)
    with UsageLog(path) as usage:
        before = usage.refresh()
        with writer.rebuilding() as add:
            add([ending(ev) for ev in range(1, 6)])
        for _ in usage.catch_up():
            assert usage.totals is before
        assert units(usage) == 5 * 500
        assert (usage.duplicates, usage.gaps) == (0, ())


def test_a_closed_log_is_read_anew(path: Path, writer: LogWriter) -> None:
    writer.append([ending(1)], sync=False)
    with UsageLog(path) as usage:
        usage.refresh()
        usage.close()
        assert units(usage) == 500
        usage.refresh()
        assert (units(usage), usage.duplicates) == (500, 0)


def test_old_files_can_be_skipped(path: Path, writer: LogWriter) -> None:
    writer.append([ending(1)], sync=False)
    writer.rotate(keep=1, force=True)
    writer.append([ending(2)], sync=False)
    with UsageLog(path, since_ms=2**62) as usage:
        usage.refresh()
        assert (units(usage), usage.gaps) == (500, ())


@given(logs(), st.lists(st.sampled_from(["write", "write", "rotate", "look", "torn"]), min_size=1, max_size=20))
def test_records_reach_their_buckets_through_any_sequence_of_events(
    tmp_path_factory: pytest.TempPathFactory, records: list[LogRecord], acts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "runs.log"
    left, told = list(records), DailyTotals()
    with closing(LogWriter(path)) as writer, UsageLog(path) as usage:
        for act in (*acts, "write all", "look"):
            match act:
                case "write" | "write all":
                    now, left = (left, []) if act == "write all" else (left[:7], left[7:])
                    writer.append(now, sync=False)
                    for one in now:
                        told.add(parse_line(format_line(one)))
                case "rotate":
                    writer.rotate(keep=100, force=True)
                case "torn":
                    with path.open("ab") as file:
                        file.write(b"ts=2026-11-23T03:0")
                case _:
                    usage.refresh()
                    assert usage.totals.buckets() == told.buckets()
                    assert usage.totals.holds() == told.holds()
        assert (usage.duplicates, usage.gaps) == (0, ())


def test_the_totals_follow_rotations_by_other_processes(path: Path) -> None:
    with UsageLog(path) as usage, started(append_and_rotate, path, 2) as running:
        while running():
            usage.refresh()
        usage.refresh()
        assert (usage.foreign, usage.duplicates, usage.gaps) == (0, 0, ())
        assert units(usage) == 2000 * 500
