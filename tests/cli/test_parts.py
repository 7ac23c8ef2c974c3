"""Unit tests of the small parts between the command line and the engine."""

from __future__ import annotations

import errno
import logging
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from console.app import LazyProvider
from console.cli.exit_codes import CommandError, ExitCode, command_error
from console.cli.handover import needs_a_guard, unguarded_runs
from console.cli.opening import require_limits
from console.cli.screen import exit_code_of_screen
from console.config import ConfigError
from console.diag_log import MOST_PENDING, diag_log, logger
from console.domain.run import Outcome, State
from console.domain.server_limit import TokenLimit
from console.engine.errors import OperationRefused, StaleRun, StoreBusy
from console.engine.models import Owner, Snapshot
from console.journal.append_file import AppendFile
from console.journal.log_files import JournalError
from console.provider.contract import Denied, LaunchOrder, NotSent, Provider
from console.ui.context import ExitReason, ExitResult
from tests.cli.runs import NOW, ended, run, stopping
from tests.clock import ManualClock
from tests.waiting import until_sync

ORDER = LaunchOrder(
    agent="a",
    model="m",
    prompt="p",
    environment="remote",
    prepared_id=None,
    server_limit=TokenLimit(tokens=1),
    max_ms=1,
    labels={},
)
ALIVE = Owner(id="a" * 32, kind="console", pid=7, alive=True, mine=False)
DEAD = Owner(id="b" * 32, kind="run", pid=8, alive=False, mine=False)


def no_key() -> Provider:
    raise ValueError("the environment variable X with the API key is not set")


async def test_a_missing_key_sends_nothing_and_is_reported_in_the_words_of_the_port() -> None:
    provider = LazyProvider(no_key)

    assert await provider.create(ORDER) == NotSent(why="the environment variable X with the API key is not set")
    with pytest.raises(Denied, match="is not set"):
        await provider.get("v1_a")
    with pytest.raises(Denied, match="is not set"):
        provider.follow("v1_a")
    with pytest.raises(ValueError, match="is not set"):
        provider.ready()
    await provider.aclose()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(["a", "b"]), ExitCode.USAGE),
        (LookupError("no task is named 'x'"), ExitCode.USAGE),
        (ValueError("date 'x' is not of the form"), ExitCode.USAGE),
        (OperationRefused("nothing runs yet"), ExitCode.REFUSED),
        (StaleRun("changed"), ExitCode.REFUSED),
        (StoreBusy("busy"), ExitCode.STORE),
        (JournalError("full"), ExitCode.STORE),
        (CommandError(ExitCode.UNCONFIRMED, "x"), ExitCode.UNCONFIRMED),
        (KeyError("x"), ExitCode.INTERNAL),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), ExitCode.INTERNAL),
        (RuntimeError("canary"), ExitCode.INTERNAL),
    ],
)
def test_every_error_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    failure = command_error(error)

    assert failure.code is code
    assert "canary" not in str(failure)


def test_error_messages_are_sanitized() -> None:
    assert "\x1b" not in str(command_error(LookupError("no task is named \x1b[2J")))


def test_which_runs_need_a_supervisor() -> None:
    assert needs_a_guard(run())
    assert needs_a_guard(stopping())
    assert needs_a_guard(run(state=State.UNCONFIRMED, sandbox_own=True, sandbox_id="s"))
    assert not needs_a_guard(run(state=State.UNCONFIRMED)), "an unconfirmed run needs a decision, not a process"
    assert not needs_a_guard(run(state=State.UNCONFIRMED, sandbox_own=True, sandbox_id="s", sandbox_deleted_ms=1))
    assert not needs_a_guard(run(state=State.PROPOSED))
    assert not needs_a_guard(ended(Outcome.OK))


def test_an_orphan_is_a_run_whose_owner_is_dead_or_unknown() -> None:
    guarded, widowed, free = run(owner=ALIVE.id), run(owner=DEAD.id), run(owner=None)
    snapshot = Snapshot(taken=NOW, live=(guarded, widowed, free), owners={ALIVE.id: ALIVE, DEAD.id: DEAD})

    assert unguarded_runs(snapshot) == (widowed, free)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (ExitReason.QUIT, 0),
        (ExitReason.LEFT, 0),
        (ExitReason.STOPPED, 0),
        (ExitReason.LINE_DROPPED, 129),
        (ExitReason.TERMINATED, 143),
        (ExitReason.CRASHED, 70),
    ],
)
def test_how_the_screen_ended(end: ExitReason, code: int) -> None:
    assert exit_code_of_screen(ExitResult(reason=end)) == code


def fail(secret: str) -> None:
    raise RuntimeError(secret)


def test_diag_log_holds_places_and_no_values(tmp_path: Path) -> None:
    path = tmp_path / "diag.log"
    with diag_log(path, ManualClock()):
        logger().info("run %s \x1b[2J", "01k")
        try:
            fail("canary")
        except RuntimeError:
            logger().exception("the guard broke")
        logging.getLogger("httpx").error("not ours")

    first, second = path.read_text().splitlines()
    assert first.startswith("2026-11-23T03:00:00.000Z pid=")
    assert first.endswith("info run 01k ␛[2J")
    assert "the guard broke | internal error: RuntimeError < " in second
    assert "in fail" in second
    assert "canary" not in second
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failing_diag_log_raises_nothing(tmp_path: Path) -> None:
    with diag_log(tmp_path / "missing" / "diag.log", ManualClock()):
        logger().error("nobody hears this")


@pytest.mark.parametrize(
    ("which", "small", "sentence"),
    [
        (resource.RLIMIT_AS, 150 << 20, r"memory of this process is limited to 150 MB \(ulimit -v\)"),
        (resource.RLIMIT_FSIZE, 1 << 20, r"size of a file of this process is limited to 1 MB \(ulimit -f\)"),
        (resource.RLIMIT_NOFILE, 10, r"number of open files of this process is limited to 10 \(ulimit -n\)"),
    ],
)
def test_a_limit_is_raised_where_that_is_allowed_and_refuses_to_guard_where_not(
    monkeypatch: pytest.MonkeyPatch, which: int, small: int, sentence: str
) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    limits = [(small, resource.RLIM_INFINITY)]
    monkeypatch.setattr(resource, "getrlimit", lambda asked: limits[-1] if asked == which else unlimited)
    monkeypatch.setattr(resource, "setrlimit", lambda asked, new: limits.append(new))
    require_limits()
    assert limits[1:] == [unlimited]
    limits.append((small, small))
    with pytest.raises(CommandError, match=rf"{sentence}.*nothing was launched") as refused:
        require_limits()
    assert refused.value.code is ExitCode.REFUSED
    assert str(command_error(MemoryError())).startswith("this process is out of memory")


@pytest.mark.parametrize("error", [None, BrokenPipeError(), OSError(errno.ENOSPC, ""), OSError(errno.EIO, "")])
def test_a_diag_log_that_blocks_or_fails_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    path, answers, threads, append = (
        tmp_path / "diag.log",
        threading.Event(),
        set[threading.Thread](),
        AppendFile.append,
    )

    def frozen(file: AppendFile, line: bytes) -> None:
        threads.add(threading.current_thread())
        answers.wait(30)
        if error is not None and line.endswith(b"first\n"):
            raise error
        append(file, line)

    def written() -> bool:
        """A line that finds the queue full is dropped."""
        logger().info("last")
        return path.exists() and "info last" in path.read_text()

    monkeypatch.setattr(AppendFile, "append", frozen)
    with diag_log(path, ManualClock()):
        for _ in range(2 * MOST_PENDING):
            logger().info("first")
        answers.set()
        until_sync(written)
    assert threads
    assert threading.main_thread() not in threads, "the event loop runs in it"
    assert path.read_text().count("first") <= MOST_PENDING + 1


def test_a_large_diag_log_is_rotated(tmp_path: Path, size: Callable[[Path, int], None]) -> None:
    path = tmp_path / "diag.log"
    size(path, (4 << 20) + 1)
    with diag_log(path, ManualClock()):
        logger().info("fresh")

    assert path.stat().st_size < 200
    assert (tmp_path / "diag.log.1").exists()


@pytest.fixture
def size() -> Callable[[Path, int], None]:
    """Return a function that creates a sparse file of a given length."""

    def make(path: Path, length: int) -> None:
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(length)

    return make
