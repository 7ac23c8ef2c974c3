"""One process has the turn: the next one takes it from a dead one at once, and from a stopped one after a while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from console.turn import Turn
from tests.waiting import until_sync

HOLDER = """
import sys
from pathlib import Path
from console.turn import Turn
turn = Turn(Path(sys.argv[1]))
for _ in sys.stdin:
    print(turn.take("first"), flush=True)
"""


class Holder:
    """A process that makes a round whenever it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def round(self) -> bool:
        """Make one round; whether it was its turn."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("\n")
        stdin.flush()
        return stdout.readline() == "True\n"

    def stop(self) -> None:
        """Stop it, so that it answers nothing and keeps its locks."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)


@contextmanager
def holding(path: Path) -> Iterator[Holder]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Holder(process)
    finally:
        process.kill()
        process.communicate()


def test_it_is_the_turn_of_one_until_it_is_given_back(tmp_path: Path) -> None:
    first, second = Turn(tmp_path / "lock"), Turn(tmp_path / "lock")
    assert first.take("one")
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    assert not second.take("two")
    assert (first.is_mine, second.is_mine, second.holder()) == (True, False, "one")
    first.release()
    first.release()
    assert second.holder() is None
    assert second.take("two")
    assert first.holder() == "two"
    assert not first.take("one")


def test_a_process_that_comes_round_keeps_its_turn(tmp_path: Path) -> None:
    first, second = Turn(tmp_path / "lock", patience=3), Turn(tmp_path / "lock", patience=3)
    for _ in range(20):
        assert first.take()
        assert not second.take()
        assert not second.take()


def test_a_killed_process_frees_its_turn(tmp_path: Path) -> None:
    with holding(tmp_path / "lock") as other:
        assert other.round()
        other.process.kill()
        until_sync(Turn(tmp_path / "lock").take)


def test_a_stopped_process_loses_its_turn_and_sees_that_once_it_goes_on(tmp_path: Path) -> None:
    with holding(tmp_path / "lock") as stopped:
        assert stopped.round()
        stopped.stop()
        mine = Turn(tmp_path / "lock", patience=5)
        waited = [mine.take("second") for _ in range(7)]
        assert waited == [False] * 6 + [True], "six rounds without a change, then the turn is ours"
        assert mine.holder() == "second"
        stopped.process.send_signal(signal.SIGCONT)
        assert not stopped.round()
        assert mine.take("second")
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        mine.release()
        assert stopped.round(), "the first one takes its turns again"


def test_two_that_take_it_from_a_stopped_one_do_not_both_keep_it(tmp_path: Path) -> None:
    with holding(tmp_path / "lock") as stopped:
        assert stopped.round()
        stopped.stop()
        others = [Turn(tmp_path / "lock", patience=2) for _ in range(3)]
        took = [[turn.take() for turn in others] for _ in range(12)]
        assert all(sum(each) <= 1 for each in took), took
        assert took[-1].count(True) == 1


def test_a_turn_whose_file_was_removed_is_taken_anew(tmp_path: Path) -> None:
    mine, other = Turn(tmp_path / "lock"), Turn(tmp_path / "lock")
    assert mine.take("one")
    (tmp_path / "lock").unlink()
    assert not mine.is_mine
    assert other.take("two")
    assert not mine.take("one")
    assert mine.holder() == "two"


def test_only_the_process_whose_turn_it_is_replaces_a_file(tmp_path: Path) -> None:
    """What one that has lost its turn knows is old: it must not write it over what the next one has written."""
    late, now = Turn(tmp_path / "lock"), Turn(tmp_path / "lock")
    known = tmp_path / "known.json"
    late.replace(known, "before its turn")
    assert not known.exists()
    assert late.take("one")
    late.replace(known, "one")
    assert known.stat().st_mode & 0o777 == 0o600
    (tmp_path / "lock").unlink()
    assert now.take("two")
    now.replace(known, "two")
    late.replace(known, "late")
    assert known.read_text(encoding="ascii") == "two"
