"""The wheel contains every file that the program reads, and the installed program starts in an empty folder."""

from __future__ import annotations

import json
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.installed import command
from tests.tree import CONSOLE, ROOT, tracked_files


def test_the_wheel_contains_every_file_that_the_program_reads(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    ours = {path.relative_to(ROOT).as_posix() for path in tracked_files() if path.is_relative_to(CONSOLE)}
    themes = {f"console/themes/{path.name}" for path in (ROOT / "themes").glob("*.toml")}
    assert ours | themes <= inside
    assert {Path(name).suffix for name in ours | themes} >= {".py", ".sql", ".tcss", ".toml"}


def test_the_wheel_contains_nothing_else(wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in inside} == {
        "console",
        next(n for n in inside if "dist-info" in n).split("/")[0],
    }
    assert not [name for name in inside if name.endswith((".pyc", ".db", ".log"))]


def test_the_installed_program_starts_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    nightdesk = installed / "bin" / "nightdesk"
    version = command(nightdesk, "--version", cwd=tmp_path)
    assert (version.returncode, version.stderr) == (0, "")
    assert _own_version() in version.stdout
    assert list(tmp_path.iterdir()) == []

    assert command(nightdesk, "init", cwd=tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["nightdesk.toml"]

    paths = command(nightdesk, "paths", "--json", cwd=tmp_path)
    assert (paths.returncode, paths.stderr) == (0, "")
    assert isinstance(json.loads(paths.stdout), dict)


def test_the_installed_program_loads_its_palettes_and_migrations(installed: Path, tmp_path: Path) -> None:
    loading = (
        "from console.ui.theme import load_themes, packaged_folder as folder;"
        "from console.store.bootstrap import packaged_migrations;"
        "import json;"
        "themes = load_themes();"
        "print(json.dumps([sorted(themes.by_name), themes.problems, str(folder()), len(packaged_migrations())]))"
    )
    done = command(installed / "bin" / "python", "-c", loading, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names, problems, folder, steps = json.loads(done.stdout)
    assert (names, problems) == (sorted(path.stem for path in (ROOT / "themes").glob("*.toml")), [])
    assert Path(folder).is_relative_to(installed)
    assert steps == len(list((CONSOLE / "store" / "migrations").glob("*.sql")))


def test_the_installed_program_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = command(installed / "bin" / "python", "-c", "import console; print(console.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed)


def _own_version() -> str:
    found = re.search(r'__version__ = "(.+)"', (CONSOLE / "__init__.py").read_text(encoding="utf-8"))
    assert found
    return found[1]


def _project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return loaded


def _pins(name: str) -> dict[str, str]:
    """Version by package. Fails on a line that is not an exact pin, such as the address of an index."""
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    pins = [re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line) for line in lines if not line.startswith("-r ")]
    assert all(pins)
    return {pin[1]: pin[2] for pin in pins if pin}


def test_every_dependency_is_pinned_within_the_range_it_declares() -> None:
    project, build = _project()["project"], _project()["build-system"]
    run, dev = _pins("requirements.txt"), _pins("requirements-dev.txt")
    assert not run.keys() & dev.keys()
    needs = [
        *((text, run) for text in [*project["dependencies"], *build["requires"]]),
        *((text, run | dev) for text in project["optional-dependencies"]["dev"]),
    ]
    for text, pins in needs:
        need = Requirement(text)
        assert need.specifier.contains(pins[canonicalize_name(need.name)]), text


def test_the_version_has_its_entry_in_the_changelog() -> None:
    assert f"## [{_own_version()}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
