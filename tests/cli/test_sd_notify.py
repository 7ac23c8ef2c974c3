"""Notifications to systemd over path and abstract sockets, sent only if NOTIFY_SOCKET is set."""

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


class Receiver:
    """The socket on which systemd receives notifications."""

    def __init__(self, folder: Path, *, abstract: bool = False) -> None:
        name = f"nightdesk-test-{os.getpid()}-{folder.name}"
        self.name = f"@{name}" if abstract else str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}" if abstract else self.name)
        self._socket.setblocking(False)
        self.messages: list[str] = []

    def listen(self) -> list[str]:
        """Return the messages received so far."""
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=[False, True], ids=["path", "abstract"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path, abstract=request.param)
    yield receiver
    receiver.close()


def test_each_notification_is_one_datagram(receiver: Receiver) -> None:
    manager = ServiceManager.of({"NOTIFY_SOCKET": receiver.name})
    manager.ready("serving 2 tasks")
    manager.alive()
    manager.stopping()
    assert receiver.listen() == ["READY=1\nSTATUS=serving 2 tasks", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("named", ["", "@", "notify", "/nobody/listens/here"])
def test_a_missing_socket_is_no_error(named: str) -> None:
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
def test_the_watchdog_applies_only_to_its_process(asked: str | None, pid: str | None, seconds: float | None) -> None:
    named = str(os.getpid()) if pid == "mine" else pid
    given = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": asked, "WATCHDOG_PID": named}
    environment = {name: value for name, value in given.items() if value is not None}
    assert ServiceManager.of(environment).watchdog_s == seconds
    assert ServiceManager.of({**environment, "NOTIFY_SOCKET": ""}).watchdog_s is None


def test_serve_notifies_ready_watchdog_and_stopping(nightdesk: Nightdesk, tmp_path: Path) -> None:
    receiver = Receiver(tmp_path)
    nightdesk.environment |= {
        "NOTIFY_SOCKET": receiver.name,
        "WATCHDOG_USEC": "2000000",
        "INVOCATION_ID": "0123456789abcdef",
    }
    serving = nightdesk.start("serve")
    until_sync(lambda: receiver.listen().count("WATCHDOG=1") >= 3, within=30, what="signs of life")
    assert receiver.messages[0] == "READY=1\nSTATUS=serving 9 tasks"

    serving.send_signal(signal.SIGTERM)

    assert nightdesk.ended(serving).code == 0
    assert receiver.listen()[-1] == "STOPPING=1"
    receiver.close()
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
