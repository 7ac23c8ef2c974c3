"""T9: a bug planted in the protocol is found, and by the property that it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.plant import grow, search
from tests.mutants.planted import BUGS, Bug, Suite
from tests.reporting import report


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    finding = search(bug.found_by, grow(bug, tmp_path / "house"))
    report(*(line for line in finding.text.splitlines() if line.startswith(("seed ", "E  "))))
    assert finding.is_found, finding.text
    assert bug.tells in finding.text


@pytest.mark.parametrize("suite", sorted({bug.found_by for bug in BUGS}))
def test_without_a_bug_nothing_is_found(suite: Suite, tmp_path: Path) -> None:
    """A copy in which the suite cannot run at all would seem to find every bug."""
    finding = search(suite, grow(None, tmp_path / "house"))
    assert not finding.is_found, finding.text
