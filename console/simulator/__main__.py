"""`python -m console.simulator`: the simulated service by hand, or as the child of a demo or a drill."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Sequence

from console.simulator.process import bind, url_of
from console.simulator.scenario import PRESETS, Scenario, from_json
from console.simulator.server import serve
from console.simulator.state import SimulatorState


def _scenario(text: str) -> Scenario:
    try:
        return from_json({"preset": text} if text in PRESETS else json.loads(text))
    except (ValueError, TypeError, AttributeError) as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m console.simulator",
        description="A simulated Interactions API on loopback, for trying things without a key and without cost.",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; default: any free one")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same course of every run")
    parser.add_argument("--scenario", type=_scenario, default=Scenario(), help=f"JSON, or one of {', '.join(PRESETS)}")
    parser.add_argument("--faults", type=json.loads, default=[], help='JSON: ["zombie"] or {"create.lost_reply": 1}')
    parser.add_argument("--api-key", help="the only key that is accepted; default: any")
    parser.add_argument("--fd", type=int, help="serve on this listening socket, inherited from the parent")
    parser.add_argument("--lifeline", type=int, help="a socket to the parent: one byte when ready, the end at its end")
    return parser


def _welcome(url: str) -> None:
    sys.stdout.write(
        f"The simulated service listens at {url} (any key, versions v1 and v1beta).\n"
        f"Statistics: {url}/_sim/stats   Runs: {url}/_sim/runs   Faults: POST {url}/_sim/faults\n"
        "ctrl+c stops it.\n"
    )
    sys.stdout.flush()


class _Lifeline:
    """The socket to the parent; its end is the parent's end."""

    def __init__(self, fd: int, stop: asyncio.Event) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._stop = stop
        asyncio.get_running_loop().add_reader(self._socket, self._look)

    def ready(self) -> None:
        """Tells the parent; one that has gone already is noticed by the reader."""
        with contextlib.suppress(OSError):
            self._socket.send(b"r")

    def _look(self) -> None:
        try:
            said = self._socket.recv(64)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._stop.set()


async def _serve(state: SimulatorState, listening: socket.socket, lifeline: int | None) -> None:
    stop = asyncio.Event()
    if lifeline is None:
        await serve(state, listening, stop, lambda: _welcome(url_of(listening)))
    else:
        await serve(state, listening, stop, _Lifeline(lifeline, stop).ready)


def main(words: Sequence[str] | None = None) -> int:
    """Serves until ctrl+c or the parent's end. Returns the exit code."""
    parser = _parser()
    given = parser.parse_args(words)
    state = SimulatorState(seed=given.seed, default=given.scenario, api_key=given.api_key)
    try:
        state.set_faults(given.faults)
        listening = bind(given.port) if given.fd is None else socket.socket(fileno=given.fd)
    except (ValueError, TypeError, OSError) as exc:
        parser.error(str(exc))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(state, listening, given.lifeline))
    return 0


if __name__ == "__main__":
    sys.exit(main())
