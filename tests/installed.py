"""The wheel, built once from what belongs to the project, and an environment with it installed."""

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
    """A command from its start to its end, without a terminal."""
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
    """Built from a copy of what belongs to the project, by way of the source archive."""
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
    """A fresh environment with the wheel; what it depends on is borrowed from ours, so no network is needed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    install = command(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel), cwd=folder
    )
    assert install.returncode == 0, install.stdout + install.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth does not have its own .pth files read: the editable checkout stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder
