"""What importing each layer loads, read from `sys.modules`: import contracts see names, this sees start-up cost."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT

_IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print("\\n".join(sys.modules))
"""

_RUN = """
import sys
from console.cli.main import entry
code = entry(sys.argv[1:])
sys.stdout.write("\\n" + "\\n".join(sys.modules))
sys.exit(code)
"""

_OPEN = """
import sys
import console.app, console.cli.screen, console.ui.app, console.ui.terminal.driver
print("\\n".join(sys.modules))
"""

SCREEN = {"textual", "plotext"}
SERVERS = {"starlette", "uvicorn"}
SQL = {"sqlite3", "aiosqlite"}
FLEET = {"psycopg"}
"""Only a process whose config has a `url` under `[store]` loads it."""
HTTP = {"httpx", "rich", "click"}
"""httpx imports the other two for its own command line."""

FLOORS = {
    "console.domain": {"asyncio", "msgspec"} | SQL | HTTP | SCREEN | SERVERS,
    "console.store": HTTP | SCREEN | SERVERS,
    "console.journal": SQL | HTTP | SCREEN | SERVERS,
    "console.provider": SQL | SCREEN | SERVERS,
    "console.engine": SCREEN | SERVERS,
    "console.config": HTTP | SQL | SCREEN | SERVERS,
    "console.simulator": SQL | SCREEN,
    "console.ui": SERVERS,
}


def _modules_of(script: str, *arguments: str, cwd: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("floor", FLOORS)
def test_a_layer_loads_nothing_of_the_layers_above(floor: str, tmp_path: Path) -> None:
    assert FLOORS[floor] & _modules_of(_IMPORT_ALL, floor, cwd=tmp_path) == set()


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A folder after `nightdesk init`."""
    _modules_of(_RUN, "init", cwd=tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "command", [("--version",), ("--help",), ("paths", "--json"), ("ps", "--json"), ("history", "--json"), ("caps",)]
)
def test_plain_commands_stay_light(command: tuple[str, ...], configured: Path) -> None:
    """Commands of cron and scripts load no screen, no server and no HTTP client."""
    assert (SCREEN | SERVERS | FLEET | HTTP - {"click"}) & _modules_of(_RUN, *command, cwd=configured) == set()


def test_ps_loads_no_engine(configured: Path) -> None:
    """A script may run it every few seconds: no event loop, no threads, nothing that launches."""
    loaded = _modules_of(_RUN, "ps", "--json", cwd=configured)
    assert "sqlite3" in loaded
    assert {"asyncio", "aiosqlite", "console.provider.contract", "console.engine.engine"} & loaded == set()


LATER = {
    *(f"console.ui.{name}.screen" for name in ("history", "rollout", "usage")),
    *(f"console.ui.dialogs.{name}" for name in ("choices", "dialog", "help", "palette", "quit", "shell_commands")),
    *("console.ui.actions.questions", "console.ui.runs.detail", "console.ui.usage.chart"),
    *("console.engine.usage", "console.journal.daily_totals"),
}
"""Modules that the first frame of the console does not need."""


def test_the_console_loads_only_what_it_shows_first(tmp_path: Path) -> None:
    loaded = _modules_of(_OPEN, cwd=tmp_path)
    assert "console.ui.runs.screen" in loaded
    assert all(importlib.util.find_spec(name) for name in LATER), "every name is a module"
    assert (LATER | SERVERS | FLEET | {"httpx", "plotext"}) & loaded == set()
