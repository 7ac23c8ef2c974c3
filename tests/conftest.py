"""No test may see the developer's machine: not the home folder, the API key, the terminal or a state folder in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
"""Where the snapshot plugin, which sets it itself, leaves its report."""
_HIDDEN_PREFIXES = ("NIGHTDESK_", "XDG_", "SSH_", "TEXTUAL", "SYSTEMD_")
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})

# Two busy cores make a hypothesis deadline say nothing about the code; a failure prints what reproduces it.
settings.register_profile("nightdesk", deadline=None, print_blob=True)
settings.load_profile("nightdesk")


def _is_hidden(name: str) -> bool:
    if name in _KEPT:
        return False
    return name in _HIDDEN or name.upper() in _PROXIES or name.startswith(_HIDDEN_PREFIXES)


pytest_plugins = ("tests.installed",)


@pytest.fixture(autouse=True)
def _nobodys_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(_is_hidden, list(os.environ)):
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def home() -> Path:
    """The empty home folder that this test runs in."""
    return Path(os.environ["HOME"])
