"""The time limits of the real command count real seconds, also when the clocks of the machine are changed.

See libfaketime(1) and time_namespaces(7).
"""

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
"""The limit of the task `timed`."""
SLACK_S = 15.0
"""How late the cancel may reach the service on a busy machine; a limit that follows a faked clock is an hour late."""
TEN_MINUTES_S = 600
"""The limit of the task `endless`."""


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_clocks()


def _faked(nightdesk: Nightdesk, hands: Path) -> None:
    """Fake the wall clock of commands by the offset in the file `hands`, which is read again each second."""
    given = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
    hands.write_text("+0")
    nightdesk.environment |= {
        "LD_PRELOAD": subprocess.run(given, capture_output=True, text=True, check=True).stdout.strip(),
        "FAKETIME_TIMESTAMP_FILE": str(hands),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }


@pytest.mark.parametrize("words", ["+0 x60", "+86400", "-86400"])
def test_no_limit_follows_the_wall_clock(nightdesk: Nightdesk, tmp_path: Path, words: str) -> None:
    """The wall clock runs at sixty times its speed, or is set by a day, while an agent runs.

    A higher speed is not possible: libfaketime shortens epoll timeouts by the same factor, and the event loop spins.
    """
    hands = tmp_path / "hands"
    _faked(nightdesk, hands)
    running = nightdesk.start("run", "timed", "--origin", "manual", "--json")
    until_sync(lambda: nightdesk.service.posts() == 1, what="the launch", within=30)
    hands.write_text(words)
    until_sync(lambda: nightdesk.service.live() == 0, what="the cut-off", within=30)
    done = nightdesk.ended(running)
    took = _cancelled_s(nightdesk) - _sent_s(nightdesk)
    report(f"{words}: cut off {took:.2f} s after the launch, at a limit of {LIMIT_S} s")
    assert LIMIT_S <= took < LIMIT_S + SLACK_S
    assert (done.code, done.json["outcome"]) == (3, "timeout"), done


def _sent_s(nightdesk: Nightdesk) -> float:
    """Return when the launch was sent, in seconds of the boot clock, as stored."""
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db")) as database:
        ((sent_ms,),) = database.execute("select sent_boot_ms from runs").fetchall()
    return float(sent_ms) / 1000


def _cancelled_s(nightdesk: Nightdesk) -> float:
    """Return when the service took the cancel, in seconds of the boot clock."""
    (run,) = nightdesk.service.runs()
    suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return min(interruption.at_s for interruption in run.interruptions) + suspended


def _orphaned(nightdesk: Nightdesk) -> None:
    """Leave a run with a limit of ten minutes whose owner died."""
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
"""Runs a command in a time namespace whose boot clock is an hour ahead; time namespaces share the wall clock."""


def _slept(nightdesk: Nightdesk, tmp_path: Path) -> subprocess.Popen[str]:
    """Start `serve` with the boot clock an hour ahead, as after an hour of suspend.

    The stored boot ids of the run are changed to the namespace with that boot clock.
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
    """Return a command prefix that gives its command another boot id."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("9b1c1c22-5f25-4b8e-9d3e-0f1b7f5a4c11\n")
    script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    return ("unshare", "--mount", "--kill-child", "--fork", "sh", "-c", script, str(boot_id))


def _ends(nightdesk: Nightdesk, serving: subprocess.Popen[str]) -> None:
    # Signal the process group: unshare does not forward signals.
    os.killpg(serving.pid, signal.SIGTERM)
    nightdesk.ended(serving)


def test_an_hour_of_suspend_counts(nightdesk: Nightdesk, tmp_path: Path) -> None:
    _orphaned(nightdesk)
    serving = _slept(nightdesk, tmp_path)
    try:
        until_sync(lambda: nightdesk.service.live() == 0, what="the cut-off")
        until_sync(lambda: not nightdesk.live(), what="its end")
    finally:
        _ends(nightdesk, serving)
    assert nightdesk("history", "--json").json[0]["outcome"] == "timeout"


def test_the_boot_clock_of_another_time_namespace_ends_no_run(nightdesk: Nightdesk) -> None:
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
