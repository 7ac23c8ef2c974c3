"""An id is read back exactly as received, whatever is torn around it."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.run import RunId, new_run_id
from console.journal.launch_journal import LaunchJournal
from console.journal.log_files import JournalError, JournalFull, JournalUnsafe
from tests.journal.samples import StutteringWrite, no_space

ONE = new_run_id(1_795_435_200_000, bytes(10))
TWO = new_run_id(1_795_435_200_001, bytes(10))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "launch.journal"


def test_ids_are_found_by_run_and_the_file_is_private(path: Path) -> None:
    journal = LaunchJournal(path)
    assert journal.read() == {}
    journal.append(ONE, 1, "v1_abc")
    journal.append(TWO, 2, "v1_def")
    assert LaunchJournal(path).read() == {ONE: "v1_abc", TWO: "v1_def"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_write_is_durable_before_it_returns(path: Path) -> None:
    flags: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        flags.append(fcntl.fcntl(descriptor, fcntl.F_GETFL))
        return os.write(descriptor, data)

    LaunchJournal(path, write=write).append(ONE, 1, "id")
    assert [flag & (os.O_DSYNC | os.O_APPEND) for flag in flags] == [os.O_DSYNC | os.O_APPEND]


@given(remote_id=st.text(alphabet=st.characters(), max_size=400))
def test_any_id_round_trips_and_forges_no_line(tmp_path_factory: pytest.TempPathFactory, remote_id: str) -> None:
    path = tmp_path_factory.mktemp("journal") / "launch.journal"
    journal = LaunchJournal(path)
    journal.append(ONE, 1, remote_id)
    journal.append(TWO, 1, "next")
    journal.close()
    assert journal.read() == {ONE: remote_id, TWO: "next"}
    assert path.read_bytes().isascii()
    assert path.read_bytes().count(b"\n") == 2


def test_a_torn_line_is_skipped_and_spoils_no_other(path: Path) -> None:
    journal = LaunchJournal(path)
    journal.append(ONE, 1, 'odd "id"')
    whole = path.read_bytes()
    for cut in range(len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert journal.read() == {}
        journal.append(TWO, 1, "two")
        assert journal.read() == {TWO: "two"}


def test_a_changed_byte_invalidates_its_line(path: Path) -> None:
    LaunchJournal(path).append(ONE, 1, "v1_abc")
    path.write_bytes(path.read_bytes().replace(b"v1_abc", b"v1_abd"))
    assert LaunchJournal(path).read() == {}


def test_short_writes_and_a_full_disk(path: Path) -> None:
    journal = LaunchJournal(path, write=StutteringWrite([20, 10_000, no_space()]))
    journal.append(ONE, 1, "one")
    with pytest.raises(JournalFull, match=r"no room for .*launch\.journal"):
        journal.append(TWO, 1, "two")
    assert journal.read() == {ONE: "one"}


def test_a_symbolic_link_is_refused(path: Path) -> None:
    path.symlink_to(path.with_name("victim"))
    with pytest.raises(JournalUnsafe):
        LaunchJournal(path).append(RunId("x"), 1, "id")


def test_a_folder_in_place_of_the_file_is_an_error(path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalError, match="not a regular file"):
        LaunchJournal(path).read()


def test_a_named_pipe_in_place_of_the_file_is_an_error_and_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(JournalUnsafe, match="not a regular file"):
        LaunchJournal(path).read()
