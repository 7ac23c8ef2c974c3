"""`cancel`, `pause` and `resume`. A run counts as stopped only when the service shows that it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from console.app import App
from console.cli.arguments import resolve_runs
from console.cli.exit_codes import ExitCode, HandoverFailed
from console.cli.handover import hand_over
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened, opened_for_emergency
from console.cli.render.run_json import run_json
from console.cli.render.runs import progress_line
from console.domain.run import Run, RunId, State

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
def cancel_command(invocation: Invocation, runs: tuple[str, ...], everything: bool, timeout: float) -> int:
    """Stop runs and wait for proof.

    Exit: 0 all ended, 7 not proven in time; the stop stays asked and is repeated.
    """
    if bool(runs) == everything:
        raise click.UsageError("give runs or keys, or --all")
    return asyncio.run(_cancel(invocation, runs, timeout))


@click.command("pause")
@click.option("--cancel", is_flag=True, help="The kill switch: also stop every run that is live or unconfirmed.")
@_timeout
@json_option
@pass_invocation
def pause_command(invocation: Invocation, cancel: bool, timeout: float) -> int:
    """No launch of any origin until `resume`.

    With --cancel exit 0 says all ended, 7 not proven in time.
    """
    return asyncio.run(_pause(invocation, timeout if cancel else None))


@click.command("resume")
@json_option
@pass_invocation
def resume_command(invocation: Invocation) -> int:
    """Launches are allowed again."""
    return asyncio.run(_resume(invocation))


async def _cancel(invocation: Invocation, texts: Sequence[str], seconds: float) -> int:
    async with opened_for_emergency(invocation) as app:
        view, operations = app.engine.queries, app.engine.operations
        # All arguments are resolved before anything is stopped: a typing mistake stops nothing.
        meant = [await resolve_runs(view, text) for text in texts]
        if not texts:
            asked = await operations.stop_all(by=invocation.by)
        else:
            # For a key every open attempt; if none is open, the last one, to report how it ended.
            chosen = [
                run for runs in meant for run in [run for run in runs if run.state is not State.ENDED] or [runs[-1]]
            ]
            asked = tuple(
                [await operations.stop(run_id, by=invocation.by) for run_id in dict.fromkeys(run.id for run in chosen)]
            )
        return await _proven(invocation, app, asked, seconds)


async def _pause(invocation: Invocation, seconds: float | None) -> int:
    async with opened_for_emergency(invocation) as app:
        asked = await app.engine.operations.pause(by=invocation.by, cancel=seconds is not None)
        invocation.say("paused: nothing is launched until `nightdesk resume`")
        if seconds is None:
            if invocation.json:
                invocation.out_json({"paused": True, "runs": []})
            return ExitCode.OK
        return await _proven(invocation, app, asked, seconds, paused=True)


async def _resume(invocation: Invocation) -> int:
    async with opened(invocation) as app:
        await app.engine.operations.resume(by=invocation.by)
    if invocation.json:
        invocation.out_json({"paused": False})
    else:
        invocation.say("resumed: launches are allowed again")
    return ExitCode.OK


async def _proven(
    invocation: Invocation, app: App, asked: Sequence[Run], seconds: float, *, paused: bool | None = None
) -> int:
    """Wait until every run is shown to have ended, for at most `seconds`."""
    for run in asked:
        invocation.say(progress_line(run) + (" (ended before)" if run.state is State.ENDED else ""))
    # A process must repeat the cancels and look for the end; if none lives, the background supervisor does it.
    try:
        await hand_over(invocation, app)
    except HandoverFailed as error:
        # The stops are asked for, and a process that lives may prove them; nobody else would.
        invocation.say(f"{error}; runs without a living guard are not watched; keep `nightdesk` open")
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    ends = [await _end(app, run.id, until) for run in asked]
    for before, run in zip(asked, ends, strict=True):
        if before.state is not State.ENDED:
            invocation.say(progress_line(run))
    if invocation.json:
        runs = [run_json(run, app.clock.now()) for run in ends]
        invocation.out_json(runs if paused is None else {"paused": paused, "runs": runs})
    return ExitCode.OK if all(run.state is State.ENDED for run in ends) else ExitCode.UNCONFIRMED


async def _end(app: App, run_id: RunId, until: float) -> Run:
    """Return the run once it has ended or is unconfirmed, or as it is at `until` (the loop's clock)."""
    try:
        async with asyncio.timeout_at(until):
            return await app.engine.wait(run_id)
    except TimeoutError:
        return await app.engine.get_run(run_id)
