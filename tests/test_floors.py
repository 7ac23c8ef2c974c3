"""What each floor brings into a process, looked at in `sys.modules`: import contracts see names, this sees weight."""

from __future__ import annotations

import subprocess
import sys

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
from console.__main__ import main
sys.argv = ["nightdesk", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
sys.stdout.write("\\n" + "\\n".join(sys.modules))
"""

SCREEN = {"textual", "rich", "plotext"}
SERVERS = {"starlette", "uvicorn"}

FLOORS = {
    "console.domain": {"asyncio", "sqlite3", "aiosqlite", "httpx", "click", "msgspec"} | SCREEN | SERVERS,
    "console.store": {"httpx", "click"} | SCREEN | SERVERS,
    "console.journal": {"sqlite3", "aiosqlite", "httpx", "click"} | SCREEN | SERVERS,
    "console.provider": {"sqlite3", "aiosqlite", "click"} | SCREEN | SERVERS,
    "console.engine": {"click"} | SCREEN | SERVERS,
    "console.config": {"httpx", "click"} | SCREEN | SERVERS,
    "console.simulator": {"sqlite3", "aiosqlite", "click"} | SCREEN,
    "console.ui": {"click"} | SERVERS,
}


def _modules_of(script: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_brings_nothing_from_above(floor: str) -> None:
    assert not FLOORS[floor] & _modules_of(_IMPORT_ALL, floor)


@pytest.mark.parametrize("command", [("--version",), ("--help",), ("paths", "--json"), ("ps", "--json")])
def test_plain_commands_stay_light(command: tuple[str, ...]) -> None:
    """cron and scripts pay for what they use: no screen, no server, no HTTP client."""
    assert not (SCREEN | SERVERS | {"httpx"}) & _modules_of(_RUN, *command)
