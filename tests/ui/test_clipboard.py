"""Inside tmux, what is copied is in a buffer of tmux as well; where tmux does not take it, that is said."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.ui.terminal.clipboard import in_tmux, load_tmux_buffer
from tests.driver import console
from tests.e2e.tmux import needs_tmux
from tests.ui.fake_engine import FakeEngine


@pytest.fixture
def tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The command of a tmux server of its own, inside of which this process seems to run."""
    needs_tmux()
    command = ["tmux", "-S", str(tmp_path / "tmux.sock"), "-f", os.devnull]
    subprocess.run([*command, "new-session", "-d", "-s", "copy", "sh"], check=True)
    monkeypatch.setenv("TMUX", f"{tmp_path / 'tmux.sock'},1,0")
    yield command
    subprocess.run([*command, "kill-server"], check=False)


def buffer(tmux: list[str]) -> str:
    """The newest buffer of that server."""
    return subprocess.run([*tmux, "show-buffer"], capture_output=True, text=True, check=True).stdout


def test_only_the_variable_of_tmux_means_tmux() -> None:
    assert in_tmux({"TMUX": "/tmp/socket,1,0"})
    assert not in_tmux({"TERM": "screen-256color"})


async def test_a_text_arrives_in_a_buffer_as_it_is(tmux: list[str]) -> None:
    assert await load_tmux_buffer("01k9zq \n'quoted' ü")
    assert buffer(tmux) == "01k9zq \n'quoted' ü"


async def test_without_tmux_or_with_one_that_fails_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not await load_tmux_buffer("text")
    program = tmp_path / "tmux"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    program.chmod(0o700)
    assert not await load_tmux_buffer("text")


async def test_y_in_tmux_copies_both_ways(busy: FakeEngine, tmux: list[str]) -> None:
    async with console(busy, busy.clock, in_tmux=True) as screen:
        await screen.press("y")
        assert screen.app.clipboard == busy.live[0].id
        assert f"sent to tmux and its terminal's clipboard: {busy.live[0].id}" in screen.bottom()
    assert buffer(tmux) == busy.live[0].id


async def test_where_tmux_does_not_take_it_the_notice_says_what_it_needs(
    busy: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with console(busy, busy.clock, in_tmux=True) as screen:
        await screen.press("y")
        assert "set -g set-clipboard on" in screen.bottom()
        assert busy.live[0].id in screen.bottom()
