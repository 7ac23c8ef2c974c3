"""Many processes share one log without losing or breaking a line, through kills and rotations."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from console.journal.log_files import rotated_names
from console.journal.runs_log import LogWriter
from tests.journal.processes import LINES, append_and_rotate, append_thousands, in_processes
from tests.journal.samples import evs, record

HERE = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.log"


def test_eight_processes_write_at_once_and_no_line_is_broken_or_lost(path: Path) -> None:
    in_processes(append_thousands, path, 8)
    # Without the lock, a line being written may look torn, and then an empty line follows.
    lines = list(filter(None, path.read_bytes().split(b"\n")))
    assert [line for line in lines if int(line[-8:], 16) != zlib.crc32(line[:-13])] == []
    assert sorted(int(line[line.rindex(b" ev=") + 4 : -13]) for line in lines) == list(range(8 * LINES))


def test_rotation_under_load_loses_and_breaks_nothing(path: Path) -> None:
    in_processes(append_and_rotate, path, 3)
    files = [path, *rotated_names(path)]
    assert len(files) > 5
    assert sorted(ev for file in files for ev in evs(file)) == list(range(3000))


def test_a_process_killed_while_writing_loses_no_reported_line(path: Path) -> None:
    for number in range(3):
        told = _kill_after_lines(path, number, 200)
        assert set(told) <= set(evs(path))
    LogWriter(path).append([record(9)], sync=True)
    assert evs(path)[-1] == 9


def _kill_after_lines(path: Path, number: int, lines: int) -> list[int]:
    command = [sys.executable, "-m", "tests.journal.processes", str(path), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += process.stdout.read().splitlines(keepends=True)
    return [int(line) for line in told if line.endswith(b"\n")]
