"""A simulator starts and stops cleanly, whatever is connected to it, and a process never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import httpx
import pytest

from console.simulator.__main__ import main
from console.simulator.process import SimulatorProcess, bind
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import Caller
from tests.tree import ROOT
from tests.waiting import WITHIN_S, until_sync


def _has_streams(state: SimulatorState, number: int) -> bool:
    return state.calls("stream") == number


LONG = Scenario(steps=10, step_seconds=100)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_a_stop_closes_every_connection() -> None:
    """Open streams, silent replies and late ones end with the simulator, and the port then refuses connections."""
    state = SimulatorState()
    broken: list[str] = []

    def hang(caller: Caller, run_id: str) -> None:
        try:
            caller.raw_stream(run_id)
        except httpx.TransportError as exc:
            broken.append(type(exc).__name__)

    with SimulatorThread(state) as simulator:
        callers = [Caller(simulator.url) for _ in range(3)]
        run_id = callers[0].start(LONG)
        state.set_faults({"stream.silence": {"skip": 1, "first": 1}, "stream.late": {"skip": 2, "value": 60}})
        threads = [threading.Thread(target=hang, args=(caller, run_id)) for caller in callers]
        for number, thread in enumerate(threads, start=1):
            thread.start()
            until_sync(partial(_has_streams, state, number))
    for thread in threads:
        thread.join(10)
    assert len(broken) == 3
    for caller in callers:
        with pytest.raises(httpx.ConnectError):
            caller.get(run_id)
        caller.close()


def test_a_state_outlives_its_server() -> None:
    state = SimulatorState(now=lambda: 0.0)
    for _ in range(2):
        with SimulatorThread(state) as simulator:
            caller = Caller(simulator.url)
            caller.start(LONG)
            caller.close()
    assert state.started() == 2


def test_concurrent_calls_are_counted_exactly() -> None:
    with SimulatorThread() as simulator:

        def start() -> None:
            caller = Caller(simulator.url)
            for _ in range(10):
                caller.start(LONG)
            caller.close()

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (simulator.state.posts(), simulator.state.started(), simulator.state.live()) == (80, 80, 80)


def test_a_port_in_use_is_an_error_at_once() -> None:
    with bind() as taken, pytest.raises(OSError, match="in use"):
        SimulatorThread(port=taken.getsockname()[1]).__enter__()


def test_it_listens_on_loopback_only() -> None:
    with SimulatorThread() as simulator:
        assert simulator.url.startswith("http://127.0.0.1:")
        port = int(simulator.url.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(ConnectionRefusedError):
            other.connect(("127.0.0.2", port))


def test_a_process_serves_its_settings_and_ends_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder does not matter."""
    monkeypatch.chdir(tmp_path)
    short = Scenario(steps=2, step_seconds=0)
    with SimulatorProcess(seed=3, scenario=short, faults={"create.503": 1}) as simulator:
        caller = Caller(simulator.url)
        assert caller.create(input="go").status_code == 503
        assert len(caller.shown(caller.start(input="go"))["steps"]) == 3
        assert simulator.control.stats()["posts"] == 2
        caller.close()
        pid = simulator.pid
    assert pid is not None
    assert not _is_alive(pid)
    with pytest.raises(OSError, match="refused"):
        simulator.control.stats()


def test_a_process_ends_even_while_streams_are_open() -> None:
    with SimulatorProcess() as simulator:
        caller = Caller(simulator.url)
        chunks = caller.chunks(caller.start(LONG))
        next(chunks)
    with pytest.raises(httpx.TransportError):
        list(chunks)
    caller.close()


def test_a_process_that_cannot_start_says_why() -> None:
    wrong_seed = cast(int, "none")
    with pytest.raises(RuntimeError, match="invalid int value"), SimulatorProcess(seed=wrong_seed):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_does_not_outlive_its_parent(number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, cwd=ROOT, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        assert _is_alive(pid)
        parent.send_signal(number)
        parent.wait(10)
        until_sync(lambda: not _is_alive(pid), what="the simulator ends with its parent")


_PARENT = """
import signal, sys
from console.simulator.process import SimulatorProcess
with SimulatorProcess() as simulator:
    sys.stdout.write(f"{simulator.pid}\\n")
    sys.stdout.flush()
    signal.pause()
"""


def test_it_runs_by_hand_and_stops_at_ctrl_c() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "console.simulator", "--scenario", "good", "--seed", "7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        start_new_session=True,
        preexec_fn=_at_a_terminal,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split(" at ")[1].split()[0]
            assert httpx.get(f"{url}/_sim/stats", trust_env=False, verify=False).json()["posts"] == 0
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def _at_a_terminal() -> None:
    """Restore Ctrl-C, which is ignored if the tests themselves were started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--scenario", "best"], "'best' is no scenario: one of good, slow"),
        (["--scenario", "[1]"], "a JSON object is needed"),
        (["--faults", '["nobody"]'], "no fault is called"),
        (["--faults", "{"], "--faults"),
    ],
)
def test_a_wrong_argument_is_refused(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert says in capsys.readouterr().err


def test_a_connection_that_comes_as_the_simulator_ends_is_closed() -> None:
    for delay in range(40):
        callers: list[socket.socket] = []
        with SimulatorThread() as simulator:
            at = urlsplit(simulator.url)
            calling = threading.Thread(target=_call, args=((at.hostname, at.port), callers))
            calling.start()
            # Another place in the life of the server each time.
            calling.join(timeout=delay % 4 * 0.0003)
        calling.join()
        for caller in callers:
            with closing(caller), suppress(ConnectionResetError):
                assert caller.recv(1) == b""


def _call(address: tuple[str | None, int | None], callers: list[socket.socket]) -> None:
    with suppress(OSError):
        for _ in range(4):
            callers.append(socket.create_connection(address, timeout=WITHIN_S))
