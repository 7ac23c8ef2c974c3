"""Worlds in which the outputs of guarding processes block, break and fail: cut-offs leave in time all the same.

Each process writes what the real ones write: the messages of `run` about its runs through the real stream for
messages, a console its frames through the real terminal, all of them the log and the launch journal. An output fails at
any store call, or just before a run has to be cut off.
"""

from __future__ import annotations

import asyncio
import io
import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from console.cli.commands import run as run_module
from console.cli.exit_codes import CommandError
from console.cli.invocation import Invocation
from console.cli.signals import ShutdownRequest
from console.cli.streams import BackgroundWriter
from console.domain.run import RunId
from console.engine.errors import StoreError
from console.engine.settings import ProcessKind
from console.provider.contract import Launched, LaunchOrder, Verdict
from console.ui.terminal.tty import Tty
from tests.simulation.blocked_worlds import BESIDE_BLOCKS, HELD_S
from tests.simulation.cut_offs import CutOffs
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine
from tests.simulation.outputs import Descriptors, Output, Trouble
from tests.simulation.scenario import RandomScenario
from tests.simulation.store_gate import Holder, StoreGate, StoreTurns

BESIDE_OUTPUTS = BESIDE_BLOCKS
"""Faults in a world of outputs: none of them delays the first cancel of a process that lives."""
HELD = "an output did not work"
READS_EVERY_S = 2.0
"""How often a command reads its run, and a console its screen: seldom, for speed."""
FRAME_BYTES = (200, 5_000, 20_000)
ENDS_WITHIN_S = 5.0
"""A thread of a world that is over ends within this, of real time."""
STEPS = 30
"""An output is struck at one of so many further store calls of a process."""


class FailingOutputs:
    """The outputs of one world, and what must hold whatever becomes of them."""

    def __init__(self, machine: Machine, checker: InvariantChecker, scenario: RandomScenario) -> None:
        self._machine = machine
        self._checker = checker
        self._scenario = scenario
        self._cut_offs = CutOffs(machine, checker, lambda at: HELD if self._was_struck(at) else "")
        self._descriptors = Descriptors()
        self._disk = self._new("disk")
        self._messages: dict[EngineProcess, Output] = {}
        self._terminals: dict[EngineProcess, Output] = {}
        machine.site.disk.output = self._disk
        self._gate = StoreGate(machine.loop)
        machine.site.turns = lambda process: StoreTurns(self._gate).turn
        machine.loop.lead_to(self._descriptors.when_writable)
        write = os.write
        machine.at_end.enter_context(
            patch.object(
                os,
                "write",
                lambda descriptor, data: (
                    write(descriptor, data) if (done := self._descriptors.write(descriptor, data)) is None else done
                ),
            )
        )
        # It would take the terminal away from the process that runs this test.
        machine.at_end.enter_context(patch("console.ui.terminal.tty.detach_stdio", lambda: None))
        machine.at_end.enter_context(patch.object(run_module, "POLL_S", READS_EVERY_S))

    def hazard(self) -> Hazard:
        """What this world adds."""
        return Hazard(
            counts=self._cut_offs.counts,
            acts=((6, self._strike), (2, self._stop)),
            check=self._cut_offs.check,
            clear=self._clear,
            check_end=self._cut_offs.check_end,
            on_answer=self._on_answer,
            on_started=self._on_started,
            may_hand_over_late=lambda: bool(self._disk.struck),
        )

    def _new(self, name: str) -> Output:
        output = Output(self._machine.loop, name)
        self._machine.at_end.callback(output.close)
        return output

    def _was_struck(self, at: float) -> bool:
        outputs = (self._disk, *self._messages.values(), *self._terminals.values())
        return any(output.was_struck(at) for output in outputs)

    def _on_started(self, process: EngineProcess) -> None:
        self._messages[process] = stderr = self._new(f"stderr of {process}")
        self._descriptors.set_standard(process, stderr)
        if process.settings.kind is ProcessKind.CONSOLE:
            self._terminals[process] = terminal = self._new(f"terminal of {process}")
            self._start(process, self._show(process, terminal))

    def _on_answer(self, process: EngineProcess, order: LaunchOrder, verdict: Verdict) -> None:
        self._cut_offs.on_answer(process, order, verdict)
        if isinstance(verdict, Launched) and process in self._messages:
            self._start(process, self._follow(process, RunId(order.labels["nightdesk-run"])))

    def _start(self, process: EngineProcess, work: Any) -> None:
        task = self._machine.loop.start(process, work)
        task.add_done_callback(lambda done: self._ended(process, done))

    def _ended(self, process: EngineProcess, task: asyncio.Task[None]) -> None:
        """Nothing that a process does with its outputs may raise."""
        if process.is_dead or process.is_leaving or task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, CommandError):
            self._checker.must_not([f"P5: {process} fails at an output: {error!r}"])

    async def _follow(self, process: EngineProcess, run_id: RunId) -> None:
        """What `run` says about its run until that is over."""
        output = self._messages[process]
        messages = BackgroundWriter(self._descriptors.open(output))
        self._machine.at_end.callback(_end_thread, messages, output)
        invocation = Invocation(
            environment={}, stdin=io.StringIO(), stdout=io.StringIO(), stderr=messages, working=Path("/")
        )
        app = cast(Any, SimpleNamespace(engine=process.engine))
        await run_module._follow(invocation, app, run_id, ShutdownRequest(), wait=True)
        self._cut_offs.counts["runs followed to their end"] += 1

    async def _show(self, process: EngineProcess, output: Output) -> None:
        """The frames of a console, until its terminal is gone; its process goes on."""
        gone = asyncio.Event()
        terminal = Tty(os.devnull, on_input=lambda data: None, on_drained=lambda: None, on_gone=gone.set)
        self._descriptors.lead(terminal._fd, output)
        self._machine.at_end.callback(terminal.close)
        while not gone.is_set():
            with suppress(StoreError):
                await process.engine.queries.snapshot()
            if not terminal.is_busy:
                terminal.send(bytes(self._machine.rng.choice(FRAME_BYTES)))
            await asyncio.sleep(READS_EVERY_S)
        self._cut_offs.counts["terminals lost"] += 1

    async def _strike(self) -> None:
        """An output fails now, at some store call of a process, or from shortly before a run has to be cut off."""
        rng, machine = self._machine.rng, self._machine
        outputs = [self._disk, *(self._messages[each] for each in machine.living() if each in self._messages)]
        outputs += [self._terminals[each] for each in machine.living() if each in self._terminals]
        output, trouble, seconds = rng.choice(outputs), rng.choice(tuple(Trouble)), rng.choice(HELD_S)
        if rng.random() < 0.5 and machine.living():
            process, step = rng.choice(machine.living()), rng.randrange(1, STEPS)
            machine.note(f"{output.name} {trouble} for {seconds:.0f} s at the {step}. store call of {process}")
            process.at_step[step] = lambda: self._hit(output, trouble, seconds)
        else:
            delay = self._cut_offs.delay_to_one()
            machine.note(f"in {delay:.1f} s {output.name} {trouble} for {seconds:.0f} s")
            machine.loop.call_later(delay, self._hit, output, trouble, seconds)

    def _hit(self, output: Output, trouble: Trouble, seconds: float) -> None:
        """The store is on the disk of the log, mostly."""
        output.strike(trouble, seconds)
        if output is self._disk and trouble is Trouble.BLOCKS and self._machine.rng.random() < 0.5:
            self._gate.hold(Holder.FROZEN, seconds)

    async def _stop(self) -> None:
        """Often while the outputs of all processes block."""
        await self._cut_offs.stop(self._scenario, self._strike_all)

    def _strike_all(self) -> None:
        rng = self._machine.rng
        if rng.random() < 0.6:
            trouble, seconds = rng.choice(tuple(Trouble)), rng.choice(HELD_S)
            for output in (self._disk, *self._messages.values(), *self._terminals.values()):
                self._hit(output, trouble, seconds)

    def _clear(self) -> None:
        self._gate.close()
        for output in (self._disk, *self._messages.values(), *self._terminals.values()):
            output.close()


def _end_thread(messages: BackgroundWriter, output: Output) -> None:
    output.close()
    if messages._thread is not None:
        # It ends at its next write; this one wakes it.
        messages.write("\n")
        messages._thread.join(ENDS_WITHIN_S)
