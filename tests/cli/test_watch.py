"""`watch` and `show --follow`: each change is one line, once, as it happens."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any
from zoneinfo import ZoneInfo

import pytest

from console.cli.changes import SnapshotChanges, conditions, detail_changes
from console.cli.exit_codes import ExitCode
from console.domain.caps import Cap, CapUsage
from console.domain.log_record import LogRecord, format_line
from console.domain.run import Outcome, Run, StepRecord
from console.engine.models import Pause, RunDetail, Snapshot, TimelineEvent
from console.engine.problems import Problem
from tests.cli import runs
from tests.cli.json_check import check
from tests.cli.nightdesk import Nightdesk
from tests.waiting import WITHIN_S, until_sync

UTC = ZoneInfo("UTC")


def snapshot(*live: Run, recent: tuple[Run, ...] = (), **more: Any) -> Snapshot:
    return replace(Snapshot(taken=runs.NOW, live=live, recent=recent), **more)


def texts(changes: SnapshotChanges, of: Snapshot, *others: Run) -> list[str]:
    return [change.text for change in changes.update(of, others)]


def test_a_run_is_told_when_it_comes_changes_and_ends_and_never_twice() -> None:
    changes, running = SnapshotChanges(), runs.run()
    assert [line.split(": ", 1)[1] for line in texts(changes, snapshot(running))] == [
        "running: in_progress, 38.2 of 50.0 units"
    ]
    assert texts(changes, snapshot(running)) == []
    assert texts(changes, snapshot(replace(running, used=38_300))) == []
    (nearly,) = texts(changes, snapshot(replace(running, used=46_000)))
    assert "46.0 of 50.0 units" in nearly
    done = runs.ended(Outcome.OK)
    (ended,) = texts(changes, snapshot(recent=(done,)))
    assert "ok after" in ended
    assert texts(changes, snapshot(recent=(done,))) == []


def test_old_runs_are_not_told_but_one_that_no_snapshot_holds_is_asked_for() -> None:
    changes = SnapshotChanges()
    assert texts(changes, snapshot(recent=(runs.ended(Outcome.FAILED),))) == []
    texts(changes, snapshot(runs.run()))
    assert changes.gone(snapshot()) == (runs.RUNNING.id,)
    (ended,) = texts(changes, snapshot(), runs.ended(Outcome.TIMEOUT))
    assert "timeout" in ended
    assert changes.gone(snapshot()) == ()


def test_a_run_that_begins_and_ends_between_two_snapshots_is_told_once() -> None:
    changes, done = SnapshotChanges(), runs.ended(Outcome.OK)
    assert texts(changes, snapshot()) == []
    (line,) = texts(changes, snapshot(recent=(done,)), done)
    assert "ok after" in line
    assert texts(changes, snapshot(recent=(done,))) == []
    running = runs.run()
    assert len(texts(changes, snapshot(running), running)) == 1
    (late,) = texts(changes, snapshot(), replace(done, id=running.id))
    assert "ok after" in late


def test_refusals_are_told_with_their_reason() -> None:
    (line,) = texts(SnapshotChanges(), snapshot(), runs.history_entry(Outcome.REFUSED, "daily_units is reached\x1b"))
    assert line.endswith("refused: daily_units is reached\u241b")


def test_conditions_are_told_when_they_begin_and_when_they_are_over() -> None:
    changes = SnapshotChanges()
    problem = Problem(topic="store", text="the disk is full", since_ms=0, last_ms=0, count=1)
    full = CapUsage(cap=Cap.DAILY_RUNS, limit=10, held=3, spent=5, frees_at_ms=None)
    bad = snapshot(paused=Pause(since_ms=0, by="ada tty=yes"), problems=(problem,), cap_usages=(full,))
    assert texts(changes, bad) == [
        "launches are paused by ada (terminal)",
        "over 80 % full: daily_runs: 3 held + 5 spent of 10",
        "the disk is full",
    ]
    assert texts(changes, bad) == []
    more = replace(bad, cap_usages=(replace(full, spent=7),), problems=(replace(problem, over_ms=5),), paused=None)
    assert texts(changes, more) == [
        "full: daily_runs: 3 held + 7 spent of 10",
        "over: launches are paused by ada (terminal)",
        "over: over 80 % full: daily_runs: 3 held + 5 spent of 10",
        "over: the disk is full",
    ]
    assert conditions(snapshot(cap_usages=(replace(full, limit=None),))) == {}


def test_a_followed_run_tells_its_new_events_and_steps_then_its_result() -> None:
    step = StepRecord(index=0, kind="tool", text="ls", at_ms=runs.START_MS, units=0, done=False)
    event = TimelineEvent(at_ms=runs.START_MS, kind="claimed", text="hold: 50 units")
    before = RunDetail(run=runs.run(), timeline=(event,), steps=(step,))
    assert detail_changes(before, before, UTC) == []
    after = replace(
        before,
        run=runs.ended(Outcome.OK, result="one\ntwo"),
        timeline=(event, replace(event, kind="ok", text="")),
        steps=(replace(step, done=True), replace(step, index=1, text="cat a")),
    )
    lines = detail_changes(before, after, UTC)
    assert [line.split()[-1] for line in lines[:2]] == ["ok", "a"]
    assert "ok after" in lines[2]
    assert lines[-2:] == ["  | one", "  | two"]


def read_until(process: subprocess.Popen[str], stream: IO[str] | None, words: str) -> list[str]:
    """The lines up to the one with these words. Fails at the end of the stream, and kills the process at a deadline."""
    assert stream is not None
    lines = []
    with deadline(process):
        for line in stream:
            lines.append(line.rstrip("\n"))
            if words in line:
                return lines
    raise AssertionError(f"{words!r} is not in {lines}")


@contextmanager
def deadline(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process if the block takes too long, so that no read waits for a line that never comes."""
    timer = threading.Timer(WITHIN_S, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def test_watch_prints_a_launch_its_end_and_a_pause_until_ctrl_c(nightdesk: Nightdesk) -> None:
    nightdesk.launch("failing")
    watching = nightdesk.start("watch")
    read_until(watching, watching.stderr, "watching")
    nightdesk("pause")
    read_until(watching, watching.stdout, "launches are paused by")
    nightdesk.launch("good")
    (refused,) = read_until(watching, watching.stdout, "refused")
    assert "good" in refused
    nightdesk("resume")
    read_until(watching, watching.stdout, "over: launches are paused")
    launched = nightdesk.launch("limited", "--no-wait").json["run"]
    read_until(watching, watching.stdout, "running:")
    nightdesk("cancel", launched)
    lines = read_until(watching, watching.stdout, "cancelled after")
    assert not [line for line in lines if "failing" in line], "it ended before"
    watching.send_signal(signal.SIGINT)
    assert nightdesk.ended(watching).code == 0


def test_a_followed_run_prints_its_steps_and_ends_with_its_result(nightdesk: Nightdesk) -> None:
    launched = nightdesk.launch("limited", "--no-wait").json["run"]
    following = nightdesk.start("show", "-f", launched)
    read_until(following, following.stdout, "timeline:")
    nightdesk("cancel", launched)
    done = nightdesk.ended(following)
    assert done.code == 0
    assert "cancelled after" in done.out
    lines = check("show --follow", nightdesk.process("show", "-f", launched, "--json").out)
    assert [line["outcome"] for line in lines] == ["cancelled"]


def test_what_is_followed_as_json_is_as_declared_line_by_line(nightdesk: Nightdesk) -> None:
    """`watch`, `log -f` and `show -f` beside each other, from the launch of a run to its end."""
    watching, logging = nightdesk.start("watch", "--json"), nightdesk.start("log", "-f", "--json")
    read_until(watching, watching.stderr, "watching")
    nightdesk.launch("rejected")
    launched = nightdesk.launch("limited", "--no-wait").json["run"]
    showing = nightdesk.start("show", "-f", launched, "--json")
    shown = read_until(showing, showing.stdout, launched)
    nightdesk("pause", "--cancel")
    changes = read_until(watching, watching.stdout, "cancelled after")
    found = check("watch", "\n".join(changes))
    assert {each["run"]["task"] for each in found if each["run"]} == {"rejected", "limited"}
    assert [each["text"] for each in found if each["run"] is None and "paused" in each["text"]]
    records = check("log --follow", "\n".join(read_until(logging, logging.stdout, '"cancelled"')))
    assert [each["status"] for each in records if each["status"] != "note"] == ["rejected", "launched", "cancelled"]
    for process in (watching, logging):
        process.send_signal(signal.SIGTERM)
        rest = nightdesk.ended(process)
        assert (rest.code, [json.loads(line) for line in rest.out.splitlines() if not line.startswith("{")]) == (0, [])
    done = nightdesk.ended(showing)
    assert check("show --follow", "\n".join(shown) + "\n" + done.out)[-1]["outcome"] == "cancelled"


def unread_bytes(stream: IO[str] | None) -> int:
    """How much waits in the pipe of the stream."""
    assert stream is not None
    return int.from_bytes(fcntl.ioctl(stream.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


FOLLOWERS = (("watch",), ("watch", "--json"), ("log", "-f"), ("log", "-f", "--json"))


@pytest.mark.parametrize("arguments", FOLLOWERS)
def test_a_follower_ends_at_once_when_its_reader_has_gone(nightdesk: Nightdesk, arguments: tuple[str, ...]) -> None:
    nightdesk.launch("endless", "--no-wait")
    following = nightdesk.start(*arguments)
    assert following.stdout is not None
    assert following.stderr is not None
    with deadline(following):
        assert following.stdout.readline()
        following.stdout.close()
        assert following.wait() == ExitCode.PIPE, "although nothing happens that it could print"
    following.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_that_does_not_read_keeps_no_follower_from_ending(nightdesk: Nightdesk, number: int) -> None:
    nightdesk.state.mkdir(mode=0o700)
    with (nightdesk.state / "runs.log").open("wb") as log:
        for each in range(2_000):
            fields = {"event": "stall", "why": "longer than a pipe holds"}
            log.write(format_line(LogRecord(ev=each + 1, at_ms=each, key="-", status="note", fields=fields)))
    following = nightdesk.start("log", "-f", "--json")
    assert following.stdout is not None
    assert following.stdout.readline()
    until_sync(lambda: unread_bytes(following.stdout) > 50_000, what="the pipe is full")
    following.send_signal(number)
    assert following.wait(timeout=WITHIN_S) == 0
