"""Blocked or failing output never stops supervision, and its exit code differs from that of a failed agent."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from console.cli.streams import MAX_PENDING, BackgroundWriter
from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync

FULL = Path("/dev/full")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_messages_arrive_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    messages = BackgroundWriter(writer)
    for number in range(100):
        messages.write(f"{number}\n")
    assert messages.drain(5)
    assert os.read(reader, 1 << 16).split() == [b"%d" % number for number in range(100)]


def _available(reader: int) -> bytes:
    """What the pipe holds; empty where it holds nothing, since a read would wait for ever then."""
    return os.read(reader, 1 << 16) if select.select([reader], [], [], 0.1)[0] else b""


def test_a_full_pipe_blocks_nothing_and_dropped_messages_are_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    messages = BackgroundWriter(writer)
    line = "x" * 4095 + "\n"
    written = MAX_PENDING // len(line) + 40
    for _ in range(written):
        messages.write(line)
    assert not messages.drain(0)
    seen = b""
    while not messages.drain(0):
        seen += _available(reader)
    messages.write("the last\n")
    while not messages.drain(0):
        seen += _available(reader)
    while more := _available(reader):
        seen += more
    assert seen.endswith(b"the last\n")
    dropped = written - seen.count(b"x" * 4095)
    assert dropped > 0
    assert f"({dropped} messages could not be shown)\nthe last\n".encode() in seen


def test_a_reader_that_is_gone_raises_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    messages = BackgroundWriter(writer)
    messages.write("nobody reads this\n")
    assert messages.drain(5)


def test_a_character_that_the_terminal_lacks_is_written_as_an_escape(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    messages = BackgroundWriter(writer, "ascii")
    messages.write("caf\u00e9\n")
    assert messages.drain(5)
    assert os.read(reader, 100) == b"caf\\xe9\n"


def _ended(nightdesk: Nightdesk, task: str) -> bool:
    found = nightdesk("history", "--task", task, "--json").json
    return bool(found) and found[0]["state"] == "ended"


@pytest.mark.proofs
@pytest.mark.parametrize("redirection", ["2>&1 | head -1", "> /dev/full 2>&1", ">&- 2>&- <&-"])
def test_a_run_is_supervised_to_its_end_with_failing_output(nightdesk: Nightdesk, redirection: str) -> None:
    command = f"{sys.executable} -m console --state-dir {nightdesk.state} run timed --origin manual"
    script = f"set -o pipefail; {command} {redirection}; exit $?"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done
    (entry,) = nightdesk("history", "--json").json
    assert entry["outcome"] == "timeout"


@pytest.mark.proofs
def test_a_terminal_stopped_with_ctrl_s_does_not_hold_up_the_limit(nightdesk: Nightdesk) -> None:
    master, slave = pty.openpty()
    # This is what ctrl-s does: the terminal accepts no output until ctrl-q.
    termios.tcflow(slave, termios.TCOOFF)
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "run", "timed", "--origin", "manual"],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    try:
        until_sync(lambda: _ended(nightdesk, "timed"))
        assert process.wait(20) == 3
    finally:
        process.kill()
        process.wait()
        termios.tcflow(slave, termios.TCOON)
        os.close(slave)
        os.close(master)


@pytest.mark.proofs
@pytest.mark.parametrize("trouble", ["blocks", "has no reader", "is full"])
def test_serve_takes_over_cuts_off_and_hands_over_whatever_becomes_of_its_output(
    nightdesk: Nightdesk, pipe: tuple[int, int], trouble: str
) -> None:
    reader, output = pipe
    if trouble == "is full":
        output = os.open(FULL, os.O_WRONLY)
    elif trouble == "has no reader":
        os.close(reader)
    else:
        os.set_blocking(output, False)
        with suppress(BlockingIOError):
            while True:
                os.write(output, b"." * 4096)
        os.set_blocking(output, True)
    serving = subprocess.Popen(
        [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "serve"],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    try:
        launcher = nightdesk.start("run", "limited", "--origin", "manual")
        until_sync(lambda: any(run["state"] == "running" for run in nightdesk.live()))
        launcher.kill()
        until_sync(lambda: _ended(nightdesk, "limited"))
        (entry,) = nightdesk("history", "--json").json
        assert entry["outcome"] == "timeout"
        # Something to hand over.
        assert nightdesk.launch("endless", "--no-wait").code == 0
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(30) == 0
        assert nightdesk("cancel", "--all").code == 0
    finally:
        serving.kill()
        serving.wait()
        if trouble == "is full":
            os.close(output)


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("arguments", [("ps",), ("ps", "--json"), ("--help",), ("run", "-h"), ("--version",)])
def test_data_that_cannot_be_written_is_never_a_failed_agent(nightdesk: Nightdesk, arguments: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), *arguments],
            cwd=nightdesk.folder,
            env=nightdesk.environment,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 141


def test_a_full_pipe_that_does_not_block_loses_no_data(nightdesk: Nightdesk, pipe: tuple[int, int]) -> None:
    """Some programs make the pipes of their children non-blocking."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += os.write(writer, b"." * 4096)
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "ps", "--json"],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=subprocess.DEVNULL,
        stdout=writer,
    )
    try:
        os.close(writer)
        read = b""
        while more := os.read(reader, filled):
            read += more
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert read[filled:] == b"[]\n"


def test_closed_streams_are_like_dev_null(nightdesk: Nightdesk) -> None:
    """Otherwise a file that the program opens, such as the database, gets the descriptor of stdout."""
    nightdesk.launch("good")
    script = f"{sys.executable} -m console --state-dir {nightdesk.state} ps --json >&- 2>&- <&-; echo $?"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"
    assert nightdesk("doctor").code == 0


def test_an_interpreter_that_is_told_to_inspect_changes_no_exit_code(nightdesk: Nightdesk) -> None:
    done = nightdesk.process("ps", "--json", PYTHONINSPECT="1")
    assert (done.code, done.out, done.err) == (0, "[]\n", "")


def test_a_usage_error_quotes_arguments_without_controls(nightdesk: Nightdesk) -> None:
    done = nightdesk("ps", "r\x1b]52;c;T1dORUQ=\x07\u202e")
    assert done.code == 2
    assert not set(done.err) & {"\x1b", "\x07", "\u202e"}
    assert "unexpected extra argument" in done.err


def test_messages_come_before_the_data_that_follows_them(nightdesk: Nightdesk) -> None:
    script = f"{sys.executable} -m console --state-dir {nightdesk.state} run good --origin manual --json 2>&1"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    messages, _, data = done.stdout.partition("{\n")
    assert "ok after" in messages
    assert json.loads("{" + data)["outcome"] == "ok"


def test_messages_are_written_or_dropped_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    reader, writer = os.pipe()
    messages = BackgroundWriter(writer)
    messages.write("one\n")
    assert os.read(reader, 100) == b"one\n"
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    messages.write("two\n")
    assert messages.drain(1)
    os.close(reader)
    messages.write("three\n")
    assert messages.drain(1)
    os.close(writer)
