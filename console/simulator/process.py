"""The simulator as a child process, for the demo and the drill. The parent does not import the HTTP server.

The parent binds the listening socket: it knows the address before the child runs, and no early call is refused.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from console.simulator.control_client import TOKEN_VARIABLE, ControlClient
from console.simulator.faults import FaultSpec, faults_to_json, parse_faults
from console.simulator.scenario import Scenario

BACKLOG = 512
START_S = 20.0
"""The longest wait for the start of the process."""
STOP_S = 5.0
"""The longest wait for the end of the process; then it is killed."""


def bind(port: int = 0) -> socket.socket:
    """Return a listening socket on 127.0.0.1; port 0 is any free port. Raises OSError if the port is in use."""
    # asyncio turns Nagle's algorithm (40 ms a reply) off only if the socket names its protocol.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket) -> str:
    """Return `http://127.0.0.1:PORT`."""
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


class SimulatorProcess:
    """`with SimulatorProcess(seed=7) as simulator:` serves at `simulator.url` until the end of the block.

    The process also ends when its parent ends in any way: the child waits for the end of a socket pair (the lifeline)
    whose other end only the parent holds. Its control calls require a random token, which `control` knows.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        scenario: Scenario | None = None,
        faults: FaultSpec = (),
        requires_token: bool = True,
        face: str = "gemini",
    ) -> None:
        """`face` is the kind of service, `scenario` that of prompts without a `#sim` line.

        `requires_token` False is for parents whose other children make control calls. Raises ValueError for an unknown
        fault.
        """
        parse_faults(faults)
        self._token = secrets.token_urlsafe(24) if requires_token else None
        self.url = ""
        """`http://127.0.0.1:PORT`, once started."""
        self.control = ControlClient(self.url, self._token)
        """The control calls, once started."""
        self._arguments = ["--face", face, "--seed", str(seed), "--faults", json.dumps(faults_to_json(faults))]
        if scenario is not None:
            self._arguments += ["--scenario", json.dumps(scenario.to_json())]
        self._lifeline: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process; None before the start."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> SimulatorProcess:
        """Start the process and wait until it serves. Raises RuntimeError with its error output if it does not."""
        with tempfile.TemporaryFile() as error_output:
            try:
                self._start(error_output)
                is_ready = self._is_ready()
            except BaseException:
                self.close()
                raise
            if not is_ready:
                self.close()
                error_output.seek(0)
                raise RuntimeError(f"the simulator did not start: {error_output.read().decode(errors='replace')}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process and wait for its end. May be called more than once."""
        if self._lifeline is not None:
            self._lifeline.close()
        if self._process is None:
            return
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self, error_output: IO[bytes]) -> None:
        self._lifeline, childs_end = socket.socketpair()
        # The parent closes its copies: a listening socket that stays open would accept the calls of a dead child.
        with childs_end, bind() as listening:
            self.url = url_of(listening)
            self.control = ControlClient(self.url, self._token)
            descriptors = (listening.fileno(), childs_end.fileno())
            inherited = ["--fd", str(descriptors[0]), "--lifeline", str(descriptors[1])]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "console.simulator", *self._arguments, *inherited],
                env=self._environment(),
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=error_output,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """Return the environment of the child. It carries the token, because command lines can be read by anyone."""
        inherited = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
        token = {} if self._token is None else {TOKEN_VARIABLE: self._token}
        return {**inherited, **token, "PYTHONPATH": _package_root()}

    def _is_ready(self) -> bool:
        if self._lifeline is None:
            return False
        self._lifeline.settimeout(START_S)
        try:
            return self._lifeline.recv(1) != b""
        except OSError:
            return False


def _package_root() -> str:
    """Return the folder that contains the package, so that the child runs the same code from any working folder."""
    return str(Path(__file__).resolve().parents[2])
