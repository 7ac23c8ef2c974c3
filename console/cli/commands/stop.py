"""`cancel`, `pause` and `resume`. A run counts as stopped only when the service shows that it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from console.app import App
from console.cli.arguments import Seconds, resolve_runs, run_ids
from console.cli.exit_codes import CommandError, ExitCode, HandoverFailed
from console.cli.handover import hand_over
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened, opened_for_emergency
from console.cli.render.run_json import run_json
from console.cli.render.runs import progress_line, short_id
from console.cli.unstored_cancel import cancel_unstored
from console.config import ConfigError
from console.domain.run import Run, State
from console.domain.text import sanitize
from console.engine.errors import StoreBusy, StoreError
from console.journal.log_files import JournalError
from console.store.pragmas import BUSY_MS

WAIT_SECONDS = 60.0
STOP_BUSY_MS = 800
"""How long a stop waits for a store that another process holds, before the cancels go out without it."""
RETRY_S = 0.5
"""Between two reads of a store that is busy."""

_timeout = click.option(
    "--timeout",
    type=Seconds(),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="S",
    help="Seconds to wait for proof of the end.",
)


@click.command("cancel")
@click.argument("runs", nargs=-1, metavar="RUN|KEY|TASK...", shell_complete=run_ids)
@click.option("--all", "everything", is_flag=True, help="All live and unconfirmed runs.")
@_timeout
@json_option
@pass_invocation
def cancel_command(invocation: Invocation, runs: tuple[str, ...], everything: bool, timeout: float) -> int:
    """Stop runs and wait for proof that they ended.

    Exit: 0 all ended, 7 not proven in time; the cancel is repeated until the service confirms the end.
    """
    if bool(runs) == everything:
        raise click.UsageError("name runs or keys, or give --all")
    return asyncio.run(_cancel(invocation, runs, timeout))


@click.command("pause")
@click.option("--cancel", is_flag=True, help="The kill switch: also stop all live and unconfirmed runs.")
@_timeout
@json_option
@pass_invocation
def pause_command(invocation: Invocation, cancel: bool, timeout: float) -> int:
    """Block every launch until `resume`.

    With --cancel also stops every live run; exit 0: all ended, 7: not proven in time.
    """
    return asyncio.run(_pause(invocation, timeout if cancel else None))


@click.command("resume")
@json_option
@pass_invocation
def resume_command(invocation: Invocation) -> int:
    """Allow launches again."""
    return asyncio.run(_resume(invocation))


async def _cancel(invocation: Invocation, texts: Sequence[str], seconds: float) -> int:
    try:
        async with opened_for_emergency(invocation, busy_ms=STOP_BUSY_MS) as app:
            asked = await _stop(invocation, app, texts)
            return await _wait_for_proof(invocation, app, asked, seconds)
    except StoreBusy as error:
        return await _cancel_unstored(invocation, texts, error)


async def _stop(invocation: Invocation, app: App, texts: Sequence[str]) -> Sequence[Run]:
    operations = app.engine.operations
    if not texts:
        return await operations.stop_all(by=invocation.by)
    # All arguments are resolved before anything is stopped: a typing mistake stops nothing.
    found = [await resolve_runs(app.engine.queries, text) for text in texts]
    # For a key every open attempt; if none is open, the last one, to report how it ended.
    chosen = [run.id for runs in found for run in [run for run in runs if run.state is not State.ENDED] or [runs[-1]]]
    return [await operations.stop(run_id, by=invocation.by) for run_id in dict.fromkeys(chosen)]


async def _pause(invocation: Invocation, seconds: float | None) -> int:
    busy_ms = BUSY_MS if seconds is None else STOP_BUSY_MS
    try:
        async with opened_for_emergency(invocation, busy_ms=busy_ms) as app:
            asked = await app.engine.operations.pause(by=invocation.by, cancel=seconds is not None)
            invocation.say("paused: launches are blocked until `nightdesk resume`")
            if seconds is None:
                if invocation.json:
                    invocation.out_json({"paused": True, "runs": []})
                return ExitCode.OK
            return await _wait_for_proof(invocation, app, asked, seconds, paused=True)
    except StoreBusy as error:
        if seconds is None:
            raise
        await _cancel_unstored(invocation, (), error)
        raise CommandError(ExitCode.STORE, f"NOT PAUSED, launches go on: {error}") from error


async def _cancel_unstored(invocation: Invocation, texts: Sequence[str], error: StoreBusy) -> int:
    """Send the cancels past the store, which another process holds. The exit code is that of a stop without proof."""
    try:
        sent = await cancel_unstored(invocation, texts)
    except (ValueError, ConfigError, CommandError, JournalError) as reason:
        invocation.say(f"no cancel could be sent from here either: {sanitize(str(reason), limit=400)}")
        raise error from None
    for cancel in sent:
        invocation.say(f"run {short_id(cancel.run_id)}: cancel sent, not recorded: {cancel.answer}")
    if not sent:
        invocation.say("the service shows no run as live that was launched here")
    invocation.say(f"{error}; `nightdesk ps` shows the runs once the store is free")
    if invocation.json:
        invocation.out_json([{"run": each.run_id, "remote_id": each.remote_id, "answer": each.answer} for each in sent])
    return ExitCode.UNCONFIRMED


async def _resume(invocation: Invocation) -> int:
    async with opened(invocation) as app:
        await app.engine.operations.resume(by=invocation.by)
    if invocation.json:
        invocation.out_json({"paused": False})
    else:
        invocation.say("launches resumed")
    return ExitCode.OK


async def _wait_for_proof(
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
    ends = [await _end(app, run, until) for run in asked]
    for before, run in zip(asked, ends, strict=True):
        if before.state is not State.ENDED:
            invocation.say(progress_line(run))
    if invocation.json:
        runs = [run_json(run, app.clock.now()) for run in ends]
        invocation.out_json(runs if paused is None else {"paused": paused, "runs": runs})
    return ExitCode.OK if all(run.state is State.ENDED for run in ends) else ExitCode.UNCONFIRMED


async def _end(app: App, run: Run, until: float) -> Run:
    """Return the run once it has ended or is unconfirmed, or as it was last read at `until` (the loop's clock)."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        try:
            async with asyncio.timeout_at(until):
                return await app.engine.wait(run.id)
        except TimeoutError:
            break
        except StoreError:
            await asyncio.sleep(min(RETRY_S, max(0.0, until - loop.time())))
    try:
        return await app.engine.get_run(run.id)
    except StoreError:
        return run
