"""Runs a share of the trials in a process that has one thread, so that it can fork; prints their `Count` as JSON."""

from __future__ import annotations

import argparse
import gc
import itertools
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from console.simulator.process import SimulatorProcess
from tests.kills.plan import trials
from tests.kills.planted_bugs import PLANTED_BUGS
from tests.kills.process_lives import EnginePorts
from tests.kills.session_plan import PLANS
from tests.kills.system_calls import LaunchCalls, errors, kills
from tests.kills.trial import Count, TrialRunner
from tests.memory import memory_folder
from tests.waiting import until_sync

Act = Callable[[Count], None]
"""Runs one trial and adds its result to a count."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--share", default="0/1", help="which share of the trials, of how many")
    parser.add_argument("--planted-bug", choices=sorted(PLANTED_BUGS), help="run its trials until the first breach")
    parser.add_argument("--kind", choices=sorted(PLANS), default="gemini", help="the kind of the service")
    parser.add_argument("--only", type=int, help="the number of one trial")
    parser.add_argument("--per-cell", type=int, default=1)
    parser.add_argument("--system-calls", action="store_true", help="strike at system calls instead of named steps")
    parser.add_argument("--every", type=int, default=1, help="kill at every so many-th call of frequent ones")
    parser.add_argument("--errors-every", type=int, default=1)
    return parser


def _named_steps(runner: TrialRunner, given: argparse.Namespace) -> Iterator[tuple[str, Act]]:
    for trial in trials(given.seed, given.per_cell, PLANS[runner.kind]):
        if given.only in (None, trial.number):
            yield trial.row.name, partial(runner.run, trial)


def _system_calls(runner: TrialRunner, given: argparse.Namespace) -> Iterator[tuple[str, Act]]:
    dice = random.Random(given.seed)
    for first_use in (False, True):
        calls = LaunchCalls(runner=runner, first_use=first_use)
        numbers = calls.numbers()
        planned = [*kills(numbers, dice, every=given.every), *errors(numbers, dice, every=given.errors_every)]
        for number, strike in enumerate(planned):
            yield str(strike.group), partial(calls.strike, strike, number)


def main() -> None:
    """Runs the trials and prints the `Count`."""
    given = _parser().parse_args()
    part, parts = map(int, given.share.split("/"))
    bug = PLANTED_BUGS.get(given.planted_bug or "")
    kind = given.kind if bug is None else bug.kind
    count = Count()
    with (
        tempfile.TemporaryDirectory(prefix="kills-", dir=memory_folder()) as place,
        SimulatorProcess(seed=given.seed, requires_token=False, face=kind) as service,
    ):
        ports = bug.ports if bug is not None else EnginePorts()
        runner = TrialRunner(service=service.control, url=service.url, base=Path(place), kind=kind, ports=ports)
        runner.prepare()
        until_sync(
            lambda: threading.active_count() == 1, what="one thread only: others would be missing in the children"
        )
        gc.collect()
        gc.freeze()
        planned = (_system_calls if given.system_calls else _named_steps)(runner, given)
        acts = (act for near, act in planned if bug is None or near == bug.near)
        for act in itertools.islice(acts, part, None, parts):
            act(count)
            if bug is not None and count.breaches:
                break
    sys.stdout.buffer.write(msgspec.json.encode(count))


if __name__ == "__main__":
    main()
