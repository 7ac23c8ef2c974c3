"""Isolates every test from the machine it runs on, and marks the proofs.

No test sees the developer's home folder, API key, terminal, or state folder.
"""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.memory import memory_folder

_HIDDEN = frozenset(
    {
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "NO_COLOR",
        "FORCE_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLORTERM",
        "COLUMNS",
        "LINES",
        "TMUX",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "SSLKEYLOGFILE",
    }
)
_KEPT = frozenset({"TEXTUAL_SNAPSHOT_TEMPDIR"})
"""Set by the snapshot plugin itself: the folder of its report."""
_HIDDEN_PREFIXES = ("NIGHTDESK_", "XDG_", "SSH_", "TEXTUAL", "SYSTEMD_", "PG")
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})

# On two busy cores a hypothesis deadline measures the machine, not the code. A failure prints the blob that repeats it.
settings.register_profile("nightdesk", deadline=None, print_blob=True)
settings.load_profile("nightdesk")


def _is_hidden(name: str) -> bool:
    if name in _KEPT:
        return False
    return name in _HIDDEN or name.upper() in _PROXIES or name.startswith(_HIDDEN_PREFIXES)


# A new state folder waits for the disk some fifty times, which on a slow one takes longer than the tests.
if (_memory := memory_folder()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_memory))

pytest_plugins = ("tests.installed", "tests.postgres_server", "tests.sharing")

PROOFS = (
    *("faults", "fleet", "hostile", "kills", "model", "planted_bugs", "races", "simulation", "ssh"),
    *(f"cli/test_{name}.py" for name in ("clocks", "drill", "durability_order", "fleet", "signals", "store")),
    *(
        "cli/test_successor.py",
        "cli/test_taking_turns.py",
        "engine/test_trust.py",
        "journal/test_runs_log_processes.py",
    ),
    *(
        "store/test_administration.py",
        "store/test_move.py",
        "store/test_postgres.py",
        "store/test_races.py",
        "store/test_state_machine.py",
        "ui/test_driver.py",
        "ui/test_typed_ahead.py",
    ),
)
"""Folders and files under `tests` whose tests get the marker `proofs`: run by `make proofs`, not by `make test`.

Single tests that start many processes, or wait for seconds, carry the marker themselves.
"""


GIVEN_UP = (
    "ignore:Exception ignored in. <(socket.socket|function _SelectorTransport):pytest.PytestUnraisableExceptionWarning"
)
"""A connection that is cut off while it is made is closed by the garbage collector, which warns.

The fault matrix makes thousands of them, and the warning fails whichever test runs when they are collected. The tests
of `make test`, which cut off none, stay strict.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test in `PROOFS`."""
    here = Path(__file__).parent
    proofs = {here / name for name in PROOFS}
    by_path = {path: not proofs.isdisjoint((path, *path.parents)) for path in {item.path for item in items}}
    for item in items:
        if by_path[item.path]:
            item.add_marker("proofs")
        if item.get_closest_marker("proofs") is not None:
            item.add_marker(pytest.mark.filterwarnings(GIVEN_UP))


def pytest_collection_finish() -> None:
    """Keeps the garbage collector from going through all tests and modules again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names for home folders. pytest's own numbering reads the names of all folders made so far, for each test."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _isolated_environment(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(_is_hidden, list(os.environ)):
        monkeypatch.delenv(name)
    home = next(_homes)
    runtime = home / "runtime"
    home.mkdir(mode=0o700)
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def home() -> Path:
    """The empty home folder of this test."""
    return Path(os.environ["HOME"])
