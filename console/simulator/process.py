"""The simulator in a process of its own, for demo and drill; the parent loads no server for it.

The listening socket is bound by the parent, so the address is known and no call is refused, however early it comes.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from console.simulator.control_client import ControlClient
from console.simulator.faults import FaultSpec, parse_faults, plain_faults
from console.simulator.scenario import Scenario

START_S = 20.0
"""Longest wait for the start; more means that the machine is stuck."""
STOP_S = 5.0
"""A process that has not ended so long after its lifeline was cut is killed."""


class SimulatorProcess:
    """`with SimulatorProcess(seed=7) as simulator:` serves at `simulator.url` until the end of the block.

    It ends with its parent too, however that ends: it watches a socket pair whose other end nobody else holds.
    """

    def __init__(self, *, seed: int = 0, scenario: Scenario | None = None, faults: FaultSpec = ()) -> None:
        """`scenario` is the default of prompts that bring none. Raises ValueError for an unknown fault."""
        parse_faults(faults)
        self.url = ""
        """`http://127.0.0.1:PORT`, from the start on."""
        self.control = ControlClient(self.url)
        """The control calls, from the start on."""
        self._words = ["--seed", str(seed), "--faults", json.dumps(plain_faults(faults))]
        if scenario is not None:
            self._words += ["--scenario", json.dumps(scenario.to_json())]
        self._lifeline: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id; None before the start."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> SimulatorProcess:
        """Returns once it answers. Raises RuntimeError, with what it wrote on stderr, where it does not."""
        with tempfile.TemporaryFile() as complaints:
            try:
                self._start(complaints)
                is_ready = self._is_ready()
            except BaseException:
                self.close()
                raise
            if not is_ready:
                self.close()
                complaints.seek(0)
                raise RuntimeError(f"the simulator did not start: {complaints.read().decode(errors='replace')}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Returns once the process has ended."""
        self.close()

    def close(self) -> None:
        """Ends the process; harmless when doubled."""
        if self._lifeline is not None:
            self._lifeline.close()
        if self._process is None:
            return
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self, complaints: IO[bytes]) -> None:
        self._lifeline, theirs = socket.socketpair()
        # Both are closed here once the child has its own: a listening copy would hold the calls of a dead child.
        with theirs, bind() as listening:
            self.url = url_of(listening)
            self.control = ControlClient(self.url)
            handed_down = (listening.fileno(), theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "console.simulator", *self._words, *_handed(*handed_down)],
                env={**os.environ, "PYTHONPATH": _where_we_are()},
                pass_fds=handed_down,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        if self._lifeline is None:
            return False
        self._lifeline.settimeout(START_S)
        try:
            return self._lifeline.recv(1) != b""
        except OSError:
            return False


def _handed(listening: int, lifeline: int) -> tuple[str, ...]:
    return ("--fd", str(listening), "--lifeline", str(lifeline))


def _where_we_are() -> str:
    """The folder that holds the package, so that the child runs the same code from any working folder."""
    return str(Path(__file__).resolve().parents[2])


BACKLOG = 512


def bind(port: int = 0) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 is any free one. Raises OSError where the port is taken."""
    # Named, since asyncio turns Nagle's delay off (40 ms a reply) only where the socket says that it is TCP.
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
    """`http://127.0.0.1:PORT`."""
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"
