"""T15: limits count real seconds for the real command, whatever the machine's clocks do. See libfaketime(1) and
time_namespaces(7)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.reporting import report
from tests.tools import need_clocks
from tests.waiting import until_sync

LIMIT_S = 1
"""Of the task `timed`."""
SLACK_S = 15.0
"""A busy machine's; a limit that follows a faked clock is off by an hour, or over at once."""
TEN_MINUTES_S = 600
"""The limit of the task `endless`."""


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_clocks()


def _faked(nightdesk: Nightdesk, hands: Path) -> None:
    """Commands see the wall clock that the words in `hands` tell of, at any time anew; no other clock is faked."""
    given = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
    hands.write_text("+0")
    nightdesk.environment |= {
        "LD_PRELOAD": subprocess.run(given, capture_output=True, text=True, check=True).stdout.strip(),
        "FAKETIME_TIMESTAMP_FILE": str(hands),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }


@pytest.mark.parametrize("words", ["+0 x60", "+86400", "-86400"])
def test_no_limit_moves_with_a_wall_clock(nightdesk: Nightdesk, tmp_path: Path, words: str) -> None:
    """It runs a minute a second, or is set by a day, while an agent works.

    No faster: libfaketime shortens the waits of epoll by the same factor, and the event loop would only spin.
    """
    hands = tmp_path / "hands"
    _faked(nightdesk, hands)
    running = nightdesk.start("run", "timed", "--origin", "manual", "--json")
    until_sync(lambda: nightdesk.service.posts() == 1, what="the launch")
    began = time.monotonic()
    hands.write_text(words)
    until_sync(lambda: nightdesk.service.live() == 0, what="the cut-off")
    took = time.monotonic() - began
    done = nightdesk.ended(running)
    report(f"{words}: cut off {took:.2f} s after the launch, at a limit of {LIMIT_S} s")
    assert LIMIT_S - 0.2 < took < LIMIT_S + SLACK_S
    assert (done.code, done.json["outcome"]) == (3, "timeout")


def _orphaned(nightdesk: Nightdesk) -> None:
    """A run of ten minutes whose owner died."""
    owner = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["running"], what="the launch")
    owner.kill()
    nightdesk.ended(owner)


def _serve(nightdesk: Nightdesk, *prefix: str) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "serve"]
    return subprocess.Popen(
        command,
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


AHEAD = ("unshare", "--time", "--boottime", "3600", "--fork", "--kill-child")
"""Runs a command in a time namespace whose boot clock is an hour ahead; the wall clock is the same everywhere."""


def _slept(nightdesk: Nightdesk, tmp_path: Path) -> subprocess.Popen[str]:
    """Start `serve` as after an hour of suspend: the boot clock has run on.

    The namespace that provides such a boot clock is made the one in which the run was recorded.
    """
    found, go = tmp_path / "namespace", tmp_path / "go"
    os.mkfifo(found)
    os.mkfifo(go)
    script = 'readlink /proc/self/ns/time >"$0/namespace" && read _ <"$0/go" && exec "$@"'
    serving = _serve(nightdesk, *AHEAD, "sh", "-c", script, str(tmp_path))
    namespace = found.read_text().strip()
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db", isolation_level=None)) as database:
        database.execute(
            "update runs set claimed_boot_id = claimed_boot_id || :added, sent_boot_id = sent_boot_id || :added",
            {"added": f"+{namespace}"},
        )
    go.write_text("go\n")
    return serving


def _other_boot(tmp_path: Path) -> tuple[str, ...]:
    """The kernel's id of the boot is another one, and the boot clock has begun anew."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("9b1c1c22-5f25-4b8e-9d3e-0f1b7f5a4c11\n")
    script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    return ("unshare", "--mount", "--kill-child", "--fork", "sh", "-c", script, str(boot_id))


def _ends(nightdesk: Nightdesk, serving: subprocess.Popen[str]) -> None:
    # Of the whole group: unshare itself does not hear it.
    os.killpg(serving.pid, signal.SIGTERM)
    nightdesk.ended(serving)


def test_an_hour_of_sleep_counts(nightdesk: Nightdesk, tmp_path: Path) -> None:
    _orphaned(nightdesk)
    serving = _slept(nightdesk, tmp_path)
    try:
        until_sync(lambda: nightdesk.service.live() == 0, what="the cut-off")
        until_sync(lambda: not nightdesk.live(), what="its end")
    finally:
        _ends(nightdesk, serving)
    assert nightdesk("history", "--json").json[0]["outcome"] == "timeout"


def test_the_boot_clock_of_another_time_namespace_fires_no_limit(nightdesk: Nightdesk) -> None:
    _orphaned(nightdesk)
    serving = _serve(nightdesk, *AHEAD)
    try:
        until_sync(lambda: nightdesk.live()[0]["units"] > 0, what="the take-over")
        assert nightdesk.service.live() == 1
    finally:
        _ends(nightdesk, serving)


@pytest.mark.parametrize("away_s", [60, 3600])
def test_the_time_between_two_boots_counts_by_the_wall_clock(nightdesk: Nightdesk, tmp_path: Path, away_s: int) -> None:
    _orphaned(nightdesk)
    _faked(nightdesk, tmp_path / "hands")
    (tmp_path / "hands").write_text(f"+{away_s}")
    serving = _serve(nightdesk, *_other_boot(tmp_path))
    try:
        if away_s > TEN_MINUTES_S:
            until_sync(lambda: nightdesk.service.live() == 0, what="the cut-off")
            until_sync(lambda: not nightdesk.live(), what="its end")
            assert nightdesk("history", "--json").json[0]["outcome"] == "timeout"
        else:
            until_sync(lambda: nightdesk.live()[0]["units"] > 0, what="the take-over")
            assert nightdesk.service.live() == 1
    finally:
        _ends(nightdesk, serving)
