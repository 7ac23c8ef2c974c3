"""Processes that a failing test leaves behind are found and killed, whatever their parent is by then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ssh.processes import end_all, is_living, of_folder
from tests.waiting import until_sync

ORPHAN = """
import subprocess, sys
words = [sys.executable, "-c", "import time; time.sleep(60)", sys.argv[1]]
print(subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
"""


def test_an_orphan_in_a_session_of_its_own_is_ended(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path / "state")], capture_output=True, check=True)
    orphan = int(made.stdout)
    until_sync(lambda: of_folder(tmp_path) == [orphan], what="the orphan in the process table")
    end_all(tmp_path)
    until_sync(lambda: not is_living(orphan), what="its end")
    os.kill(os.getpid(), 0)


def test_a_terminal_server_is_ended(tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    socket = tmp_path / "tmux"
    subprocess.run(["tmux", "-f", "/dev/null", "-S", str(socket), "new-session", "-d", "sleep 60"], check=True)
    assert of_folder(tmp_path)
    end_all(tmp_path)
    until_sync(lambda: not of_folder(tmp_path), what="its end")
