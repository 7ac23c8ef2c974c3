"""Fixtures: the wheel, built once from the files of the project, and an environment with it installed.

Kept apart because `conftest.py` loads it as a plugin for the tests of packaging and of the installed program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.tree import ROOT, tracked_files


def command(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command without a terminal and waits for its end."""
    return subprocess.run(
        [str(part) for part in words],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by way of the source archive from a copy of the project's files."""
    copy = tmp_path_factory.mktemp("source")
    for path in tracked_files():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    built = command(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "made", cwd=copy)
    assert built.returncode == 0, built.stdout + built.stderr
    (made,) = (copy / "made").glob("*.whl")
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel. Its dependencies are those of this environment, so no network is needed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    install = command(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel), cwd=folder
    )
    assert install.returncode == 0, install.stdout + install.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    # The .pth files of a folder that a .pth file names are not read, so the editable checkout stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder
