"""`cancel`, `pause`, `resume`: stopping comes first, and a stop counts only once the provider shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from console.app import App
    from console.domain.run import Run, RunId

WAIT_SECONDS = 60.0

_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=86_400),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="S",
    help="Seconds to wait for proof of the end.",
)


@click.command("cancel")
@click.argument("runs", nargs=-1, metavar="RUN|KEY...")
@click.option("--all", "everything", is_flag=True, help="Every run that is live or unconfirmed.")
@_timeout
@json_option
@pass_invocation
def cancel_command(shell: Invocation, runs: tuple[str, ...], everything: bool, timeout: float) -> int:
    """Stop runs and wait for proof.

    Exit: 0 all ended, 7 not proven in time; the stop stays asked and is repeated.
    """
    if bool(runs) == everything:
        raise click.UsageError("give runs or keys, or --all")
    return asyncio.run(_cancel(shell, runs, timeout))


@click.command("pause")
@click.option("--cancel", is_flag=True, help="The kill switch: also stop every run that is live or unconfirmed.")
@_timeout
@json_option
@pass_invocation
def pause_command(shell: Invocation, cancel: bool, timeout: float) -> int:
    """No launch of any origin until `resume`.

    With --cancel exit 0 says all ended, 7 not proven in time.
    """
    return asyncio.run(_pause(shell, timeout if cancel else None))


@click.command("resume")
@json_option
@pass_invocation
def resume_command(shell: Invocation) -> int:
    """Launches are allowed again."""
    return asyncio.run(_resume(shell))


async def _cancel(shell: Invocation, texts: Sequence[str], seconds: float) -> int:
    from console.cli.arguments import resolve_runs
    from console.cli.opening import opened
    from console.domain.run import State

    async with opened(shell) as house:
        view, operations = house.engine.queries, house.engine.operations
        # All names are understood before anything is stopped: a typing mistake stops nothing.
        meant = [await resolve_runs(view, text) for text in texts]
        if not texts:
            asked = await operations.stop_all(by=shell.by)
        else:
            # Of a key every open attempt; where none is open, the last one says how it ended.
            chosen = [
                run for runs in meant for run in [run for run in runs if run.state is not State.ENDED] or [runs[-1]]
            ]
            asked = tuple(
                [await operations.stop(run_id, by=shell.by) for run_id in dict.fromkeys(run.id for run in chosen)]
            )
        return await _proven(shell, house, asked, seconds)


async def _pause(shell: Invocation, seconds: float | None) -> int:
    from console.cli.opening import opened

    async with opened(shell) as house:
        asked = await house.engine.operations.pause(by=shell.by, cancel=seconds is not None)
        shell.say("paused: nothing is launched until `nightdesk resume`")
        if seconds is None:
            if shell.json:
                shell.out_json({"paused": True, "runs": []})
            return ExitCode.OK
        return await _proven(shell, house, asked, seconds, paused=True)


async def _resume(shell: Invocation) -> int:
    from console.cli.opening import opened

    async with opened(shell) as house:
        await house.engine.operations.resume(by=shell.by)
    if shell.json:
        shell.out_json({"paused": False})
    else:
        shell.say("resumed: launches are allowed again")
    return ExitCode.OK


async def _proven(
    shell: Invocation, house: App, asked: Sequence[Run], seconds: float, *, paused: bool | None = None
) -> int:
    """Waits until every run shows its end, at most `seconds`."""
    from console.cli.handover import hand_over
    from console.cli.render.run_json import run_json
    from console.cli.render.runs import progress_line
    from console.domain.run import State

    for run in asked:
        shell.say(progress_line(run) + (" (ended before)" if run.state is State.ENDED else ""))
    # Somebody must go on asking, and look for the proof: where no process does, the background supervisor will.
    await hand_over(shell, house)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    ends = [await _end(house, run.id, until) for run in asked]
    for before, run in zip(asked, ends, strict=True):
        if before.state is not State.ENDED:
            shell.say(progress_line(run))
    if shell.json:
        runs = [run_json(run, house.clock.now()) for run in ends]
        shell.out_json(runs if paused is None else {"paused": paused, "runs": runs})
    return ExitCode.OK if all(run.state is State.ENDED for run in ends) else ExitCode.UNCONFIRMED


async def _end(house: App, run_id: RunId, until: float) -> Run:
    """The run once it has ended or is known to be beyond proof, or as it is at `until` (of the loop's clock)."""
    try:
        async with asyncio.timeout_at(until):
            return await house.engine.wait(run_id)
    except TimeoutError:
        return await house.engine.get_run(run_id)
