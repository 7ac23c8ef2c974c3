"""A copy of the house with one bug in it, and what the suite that must find it says there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.planted import Bug, Suite
from tests.tree import ROOT

WORLDS = 1_000
"""Seeds in which a bug must show itself."""
PATIENCE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a suite came to beside a bug."""

    is_found: bool
    text: str
    """What it printed."""


def grow(bug: Bug | None, folder: Path) -> Path:
    """A copy of the program and its tests in `folder`, with the bug. Raises ValueError where an edit does not fit.

    What is compiled comes with it, which saves compiling it for each bug; an edited file is newer than that.
    """
    for part in ("console", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.svg"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for edit in bug.edits if bug is not None else ():
        path = folder / edit.file
        source = path.read_text()
        if source.count(edit.old) != 1:
            raise ValueError(f"{edit.file} has {source.count(edit.old)} places like {edit.old!r}, not one")
        path.write_text(source.replace(edit.old, edit.new))
    return folder


def search(suite: Suite, house: Path) -> Finding:
    """Runs the suite in the copy."""
    match suite:
        case Suite.WORLDS:
            order = ["-m", "tests.simulation.runner", "0", str(WORLDS), "--one-process"]
        case _:
            order = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(suite.value)]
    ran = subprocess.run(
        [sys.executable, *order],
        cwd=house,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(house)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )
    return Finding(is_found=ran.returncode != 0, text=ran.stdout + ran.stderr)
