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

SCREEN = {"textual", "plotext"}
SERVERS = {"starlette", "uvicorn"}
SQL = {"sqlite3", "aiosqlite"}
HTTP = {"httpx", "rich", "click"}
"""httpx brings the other two along for a command of its own."""

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


def _modules_of(script: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_brings_nothing_from_above(floor: str) -> None:
    assert FLOORS[floor] & _modules_of(_IMPORT_ALL, floor) == set()


@pytest.mark.parametrize("command", [("--version",), ("--help",), ("paths", "--json"), ("ps", "--json")])
def test_plain_commands_stay_light(command: tuple[str, ...]) -> None:
    """cron and scripts pay for what they use: no screen, no server, no HTTP client."""
    assert (SCREEN | SERVERS | HTTP - {"click"}) & _modules_of(_RUN, *command) == set()
