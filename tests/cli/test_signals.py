"""Job control does not stop a process that supervises a run, and no core file with secrets is written."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
import sys
import termios
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync


def _is_running(nightdesk: Nightdesk) -> bool:
    return any(run["state"] == "running" for run in nightdesk.live())


def _supervisors(nightdesk: Nightdesk) -> list[str]:
    """The kinds of the processes to which the open runs belong."""
    query = "select kind from runs join owners on owners.id = runs.owner where runs.state <> 'ended'"
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db", timeout=30)) as connection:
        return [kind for (kind,) in connection.execute(query)]


def test_ctrl_z_does_not_stop_the_guard(nightdesk: Nightdesk) -> None:
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: _is_running(nightdesk))
    running.send_signal(signal.SIGTSTP)
    assert nightdesk("cancel", "--all").code == 0
    done = nightdesk.ended(running)
    assert done.code == 5
    assert "not suspended" in done.err


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGQUIT, 131),
        pytest.param(signal.SIGUSR1, 143, marks=pytest.mark.proofs),
        pytest.param(signal.SIGXCPU, 143, marks=pytest.mark.proofs),
        pytest.param(signal.SIGRTMIN + 3, 143, marks=pytest.mark.proofs),
    ],
)
def test_a_signal_that_would_kill_hands_the_run_over(nightdesk: Nightdesk, number: int, code: int) -> None:
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: _is_running(nightdesk))
    running.send_signal(number)
    done = nightdesk.ended(running)
    assert done.code == code
    assert "supervised by" in done.err
    assert nightdesk("cancel", "--all").code == 0


@pytest.mark.proofs
def test_a_signal_that_the_parent_blocks_hands_the_run_over(nightdesk: Nightdesk) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        running = nightdesk.start("run", "endless", "--origin", "manual")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    until_sync(lambda: _is_running(nightdesk))
    running.send_signal(signal.SIGTERM)
    assert nightdesk.ended(running).code == 143
    assert nightdesk("cancel", "--all").code == 0


@pytest.mark.proofs
def test_serve_hands_its_runs_over_at_ctrl_backslash(nightdesk: Nightdesk) -> None:
    serving = nightdesk.start("serve")
    until_sync(lambda: any((nightdesk.state / "owners").glob("*.problems")), what="a serve that supervises")
    launcher = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: _is_running(nightdesk))
    launcher.kill()
    nightdesk.ended(launcher)
    until_sync(lambda: _supervisors(nightdesk) == ["serve"], what="the take-over by serve")
    serving.send_signal(signal.SIGQUIT)
    done = nightdesk.ended(serving)
    assert done.code == 131
    assert "supervised by" in done.err
    assert nightdesk("cancel", "--all").code == 0


def test_only_a_deliberate_end_stops_the_background_supervisor(nightdesk: Nightdesk) -> None:
    """`pkill -HUP nightdesk` is for `serve`, which loads its config again; a guard reads none."""
    assert nightdesk.launch("endless", "--no-wait").code == 0
    until_sync(lambda: _guard_pid(nightdesk) is not None)
    pid = _guard_pid(nightdesk)
    assert pid is not None
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(pid, number)
    # The answer to the cancel is recorded by the guard, after it has received the signals.
    assert nightdesk("cancel", "--all").code == 0
    assert _guard_pid(nightdesk) == pid


def _guard_pid(nightdesk: Nightdesk) -> int | None:
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db")) as connection:
        row = connection.execute("select pid from owners where kind = 'guard'").fetchone()
    return row[0] if row else None


def test_a_background_job_is_not_stopped_by_stty_tostop(nightdesk: Nightdesk) -> None:
    """The kernel stops a background process group at its first write to a terminal with `tostop`."""
    master, slave = pty.openpty()
    mode = termios.tcgetattr(slave)
    mode[3] |= termios.TOSTOP
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    # The shell has the terminal; its child leads another process group of the same session.
    script = f"""
import os, subprocess, sys, fcntl, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen({[sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)]!r}
    + ["run", "timed", "--origin", "manual"], process_group=0)
_, status = os.waitpid(child.pid, os.WUNTRACED)
os._exit(99 if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status))
"""
    shell = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    try:
        assert shell.wait(30) == 3
    finally:
        shell.kill()
        os.close(slave)
        os.close(master)


def test_no_core_file_is_written(nightdesk: Nightdesk) -> None:
    serving = nightdesk.start("serve")
    until_sync(lambda: (nightdesk.state / "owners").is_dir())
    limits = Path(f"/proc/{serving.pid}/limits").read_text(encoding="utf-8")
    serving.send_signal(signal.SIGTERM)
    nightdesk.ended(serving)
    core = next(line.split() for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core[4:6] == ["0", "0"]


def test_a_process_with_an_engine_is_not_dumpable(nightdesk: Nightdesk) -> None:
    """A core file that the kernel pipes to a program does not obey the size limit."""
    script = """
import ctypes, sys
from console.cli.main import entry
dumpable = ctypes.CDLL(None).prctl
before = dumpable(3, 0, 0, 0, 0)
entry(sys.argv[1:])
print(before, dumpable(3, 0, 0, 0, 0), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "--state-dir", str(nightdesk.state), "ps"],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "1 0\n"
