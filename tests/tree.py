"""The files of the project and their syntax trees, for tests that read them."""

from __future__ import annotations

import ast
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = ROOT / "console"
TESTS = ROOT / "tests"

_MADE = frozenset({"__pycache__", "dist", "build"})


@cache
def tracked_files() -> tuple[Path, ...]:
    """The files of the project: as git lists them, or, without git, all but those that tools generate."""
    names = _by_git()
    if names is None:
        paths = [path for path in ROOT.rglob("*") if not _is_made(path.relative_to(ROOT))]
    else:
        paths = [ROOT / name for name in names]
    return tuple(sorted(path for path in paths if path.is_file()))


def _by_git() -> list[str] | None:
    """None outside of a git checkout, or without git."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return None
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=False)
    return [name for name in listed.stdout.decode().split("\0") if name] if listed.returncode == 0 else None


def _is_made(relative: Path) -> bool:
    return any(part in _MADE or (part.startswith(".") and part != ".ci") for part in relative.parts[:-1])


@cache
def modules(*folders: str) -> tuple[Path, ...]:
    """The Python files of some top-level folders."""
    return tuple(path for path in tracked_files() if path.suffix == ".py" and _top(path) in folders)


def _top(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def place(path: Path, line: int = 0) -> str:
    """`console/domain/run.py:12`, for messages."""
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))
