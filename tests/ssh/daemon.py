"""A real sshd on the loopback interface, with keys and config of its own in a folder of the test."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.terminal_session import WIDE, Size, TerminalSession
from tests.waiting import until_sync

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
UseDNS no
PermitRootLogin yes
PermitUserRC no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
LogLevel ERROR
{environment}
"""


class Sshd:
    """A running SSH server."""

    def __init__(self, folder: Path, port: int, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._port = port
        self._environment = environment

    def login(self, command: Sequence[str], *, term: str = "xterm-256color", size: Size = WIDE) -> TerminalSession:
        """An `ssh -tt` to this server that runs `command` on the remote terminal."""
        client = [
            *(shutil.which("ssh") or "ssh", "-tt", "-F", "none", "-q"),
            *("-i", str(self.folder / "user"), "-p", str(self._port), "-l", getpass.getuser()),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"),
            *("127.0.0.1", shlex.join(command)),
        ]
        environment = {**self._environment, "TERM": term}
        return TerminalSession(client, environment=environment, folder=self.folder, size=size)


@contextmanager
def sshd(folder: Path, environment: Mapping[str, str]) -> Iterator[Sshd]:
    """An SSH server whose sessions have `environment`. Skips the test where there is no sshd, but fails in CI."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None or shutil.which("ssh") is None:
        assert os.environ.get("CI") != "true", "CI has to have openssh-server and openssh-client"
        pytest.skip("needs sshd and ssh (openssh-server, openssh-client)")
    if os.geteuid() == 0:
        # sshd needs this folder for its privilege separation; Debian makes it at boot.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = _free_port()
    # In one line: sshd obeys only the first SetEnv.
    settings = "SetEnv " + " ".join(f'"{name}={value}"' for name, value in environment.items())
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(port=port, folder=folder, environment=settings), encoding="utf-8")
    log = folder / "sshd.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=stderr)
    try:
        until_sync(lambda: process.poll() is not None or _answers(port), what="sshd answers")
        assert process.poll() is None, log.read_text()
        yield Sshd(folder, port, environment)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
