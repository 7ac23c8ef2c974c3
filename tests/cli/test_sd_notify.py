"""What systemd hears, over both kinds of sockets, and only where it asked."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli.sd_notify import ServiceManager
from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync


class Ear:
    """The manager's end of the socket."""

    def __init__(self, folder: Path, *, abstract: bool = False) -> None:
        name = f"nightdesk-test-{os.getpid()}-{folder.name}"
        self.name = f"@{name}" if abstract else str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}" if abstract else self.name)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Every message so far."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=[False, True], ids=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(tmp_path, abstract=request.param)
    yield ear
    ear.close()


def test_each_word_is_one_datagram(ear: Ear) -> None:
    manager = ServiceManager.of({"NOTIFY_SOCKET": ear.name})
    manager.ready("serving 2 tasks")
    manager.alive()
    manager.stopping()
    assert ear.listen() == ["READY=1\nSTATUS=serving 2 tasks", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("named", ["", "@", "notify", "/nobody/listens/here"])
def test_nobody_to_tell_is_no_trouble(named: str) -> None:
    ServiceManager.of({"NOTIFY_SOCKET": named}).ready("well")
    ServiceManager.of({}).stopping()


@pytest.mark.parametrize(
    ("asked", "pid", "seconds"),
    [
        ("30000000", None, 30.0),
        ("30000000", "mine", 30.0),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_ours_or_nobodys(asked: str | None, pid: str | None, seconds: float | None) -> None:
    named = str(os.getpid()) if pid == "mine" else pid
    given = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": asked, "WATCHDOG_PID": named}
    environment = {name: value for name, value in given.items() if value is not None}
    assert ServiceManager.of(environment).watchdog_s == seconds
    assert ServiceManager.of({**environment, "NOTIFY_SOCKET": ""}).watchdog_s is None


def test_serve_tells_that_it_is_ready_lives_and_stops(nightdesk: Nightdesk, tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    nightdesk.environment |= {
        "NOTIFY_SOCKET": ear.name,
        "WATCHDOG_USEC": "2000000",
        "INVOCATION_ID": "0123456789abcdef",
    }
    serving = nightdesk.start("serve")
    until_sync(lambda: ear.listen().count("WATCHDOG=1") >= 3, within=30, what="signs of life")
    assert ear.heard[0] == "READY=1\nSTATUS=serving 9 tasks"

    serving.send_signal(signal.SIGTERM)

    assert nightdesk.ended(serving).code == 0
    assert ear.listen()[-1] == "STOPPING=1"
    ear.close()
    said = (nightdesk.state / "diag.log").read_text()
    for line in ("serving 9 tasks", "scheduling 1 tasks", "stopped by systemd: 0 runs wait for the restart"):
        assert line in said


def test_without_systemd_nothing_is_sent_and_diag_log_says_who_guards_on(nightdesk: Nightdesk) -> None:
    serving = nightdesk.start("serve")
    assert serving.stderr is not None
    serving.stderr.readline()
    serving.send_signal(signal.SIGTERM)
    assert nightdesk.ended(serving).code == 0
    assert "stopped: nothing needs a guard" in (nightdesk.state / "diag.log").read_text()
