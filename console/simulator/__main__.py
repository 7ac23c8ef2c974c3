"""`python -m console.simulator`: a simulated service started by hand, or as the child of a demo or a drill."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence

from console.simulator.control_client import TOKEN_HEADER, TOKEN_VARIABLE
from console.simulator.process import bind, url_of
from console.simulator.scenario import PRESETS, Scenario, from_json
from console.simulator.server import FACES, serve
from console.simulator.state import SimulatorState


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or the end of the parent process. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    state = SimulatorState(
        seed=options.seed,
        default=options.scenario,
        api_key=options.api_key,
        control_token=os.environ.pop(TOKEN_VARIABLE, None) or None,
    )
    try:
        state.set_faults(options.faults)
        listening = bind(options.port) if options.fd is None else socket.socket(fileno=options.fd)
    except (ValueError, TypeError, OSError) as exc:
        parser.error(str(exc))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(state, listening, options.lifeline, options.face))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nightdesk simulator",
        description="A simulated service on loopback, to try things without an API key and at no cost.",
        epilog=f"If the environment variable {TOKEN_VARIABLE} is set, control calls (/_sim/...) must send its value in "
        f"the header {TOKEN_HEADER}.",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free port)")
    parser.add_argument("--face", choices=sorted(FACES), default="gemini", help="the kind of service (default: gemini)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same runs")
    parser.add_argument(
        "--scenario",
        type=_scenario,
        default=Scenario(),
        help=f"what runs do whose prompt has no #sim line: JSON, or one of {', '.join(PRESETS)}",
    )
    parser.add_argument("--faults", type=json.loads, default=[], help='JSON: ["zombie"] or {"create.lost_reply": 1}')
    parser.add_argument("--api-key", help="the only accepted API key (default: any key)")
    # For a parent process: a listening socket to serve on, and one that gets a byte when the simulator is ready and at
    # whose end it ends.
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)
    return parser


def _scenario(text: str) -> Scenario:
    try:
        if text in PRESETS:
            return from_json({"preset": text})
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("a JSON object is needed")
        return from_json(given)
    except json.JSONDecodeError as exc:
        accepted = f"one of {', '.join(PRESETS)}, or a JSON object"
        raise argparse.ArgumentTypeError(f"{text!r} is no scenario: {accepted}") from exc
    except (ValueError, TypeError, AttributeError) as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


async def _serve(state: SimulatorState, listening: socket.socket, lifeline: int | None, face: str) -> None:
    stop = asyncio.Event()
    if lifeline is None:
        await serve(state, listening, stop, lambda: _print_address(url_of(listening), face), face)
    else:
        await serve(state, listening, stop, _Lifeline(lifeline, stop).report_ready, face)


def _print_address(url: str, face: str) -> None:
    sys.stdout.write(
        f"The simulated service listens at {url} (kind {face}, any key).\n"
        f"Statistics: {url}/_sim/stats   Runs: {url}/_sim/runs   Faults: POST {url}/_sim/faults\n"
        "ctrl+c stops it.\n"
    )
    sys.stdout.flush()


class _Lifeline:
    """The socket to the parent process. It closes when the parent ends."""

    def __init__(self, fd: int, stop: asyncio.Event) -> None:
        """`stop` is set when the parent ends."""
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._stop = stop
        asyncio.get_running_loop().add_reader(self._socket, self._on_readable)

    def report_ready(self) -> None:
        """Tell the parent that the service is ready. A parent that has ended already is noticed by the reader."""
        with contextlib.suppress(OSError):
            self._socket.send(b"r")

    def _on_readable(self) -> None:
        try:
            received = self._socket.recv(64)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._stop.set()


if __name__ == "__main__":
    sys.exit(main())
