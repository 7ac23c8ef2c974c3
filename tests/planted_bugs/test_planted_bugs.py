"""T9: a bug planted in the program is found by its suite, and by the invariant that it breaks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.planted_bugs.bugs import BUGS, Bug, Suite
from tests.reporting import report
from tests.tree import ROOT

WITHIN_S = 300


def _search(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The suite in a process of its own, in which nothing else is planted."""
    return subprocess.run(
        [sys.executable, "-m", "tests.planted_bugs.search", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=WITHIN_S,
        check=False,
    )


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_found(bug: Bug) -> None:
    found = _search(bug.name)
    text = found.stdout + found.stderr
    report(*(line for line in text.splitlines() if line.startswith(("seed ", "E  "))))
    assert found.returncode == 1, text[-3000:]
    assert any(told in text for told in bug.tells), text[-3000:]


@pytest.mark.parametrize("suite", list(Suite))
def test_without_a_bug_nothing_is_found(suite: Suite) -> None:
    """A suite that cannot run at all would seem to find every bug."""
    found = _search("--suite", suite.value)
    assert found.returncode == 0, (found.stdout + found.stderr)[-3000:]
