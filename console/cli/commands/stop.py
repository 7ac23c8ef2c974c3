"""`cancel`, `pause` and `resume`. A run counts as stopped only when the service shows that it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import click

from console.app import App
from console.cli.arguments import Seconds, resolve_runs, run_ids
from console.cli.exit_codes import CommandError, ExitCode, HandoverFailed
from console.cli.handover import hand_over
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.known_folders import DATABASE
from console.cli.opening import opened, opened_for_emergency
from console.cli.proof import ProofWaiter
from console.cli.render.launch_json import run_json
from console.cli.render.runs import progress_line, progress_name, short_id
from console.cli.unstored_cancel import UnstoredCancel, cancel_unstored
from console.config import ConfigError
from console.domain.formatting import counted
from console.domain.run import Run, RunId, State, StopReason
from console.domain.text import sanitize
from console.engine.clock import SystemClock
from console.engine.errors import StoreAbsent, StoreError
from console.engine.run_json import Json
from console.journal.log_files import JournalError
from console.store.pause_file import PAUSE_FILE, request_pause

WAIT_SECONDS = 60.0
STOP_BUSY_MS = 800
"""How long a stop waits for a store that another process holds, before the cancels go out without it."""

_timeout = click.option(
    "--timeout",
    type=Seconds(),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="S",
    help="Seconds to wait for proof of the end.",
)


_reason = click.option("--reason", metavar="R", default="", help="The reason, for the record.")


@click.command("cancel")
@click.argument("runs", nargs=-1, metavar="RUN|KEY|TASK...", shell_complete=run_ids)
@click.option("--all", "everything", is_flag=True, help="All live and unconfirmed runs.")
@_reason
@_timeout
@json_option
@pass_invocation
def cancel_command(invocation: Invocation, runs: tuple[str, ...], everything: bool, reason: str, timeout: float) -> int:
    """Stop runs and wait for proof that they ended.

    Exit: 0 all ended, 7 not proven in time; the cancel is repeated until the service confirms the end.
    """
    if bool(runs) == everything:
        raise click.UsageError("name runs or keys, or give --all")
    return asyncio.run(_cancel(invocation, runs, timeout, reason))


@click.command("pause")
@click.option("--cancel", is_flag=True, help="The kill switch: also stop all live and unconfirmed runs.")
@_reason
@_timeout
@json_option
@pass_invocation
def pause_command(invocation: Invocation, cancel: bool, reason: str, timeout: float) -> int:
    """Block every launch until `resume`.

    With --cancel also stops every live run; exit 0: all ended, 7: not proven in time.
    """
    return asyncio.run(_pause(invocation, timeout if cancel else None, reason))


@click.command("resume")
@_reason
@json_option
@pass_invocation
def resume_command(invocation: Invocation, reason: str) -> int:
    """Allow launches again."""
    return asyncio.run(_resume(invocation, reason))


async def _cancel(invocation: Invocation, texts: Sequence[str], seconds: float, why: str) -> int:
    try:
        async with opened_for_emergency(invocation, create=False, busy_ms=STOP_BUSY_MS) as app:
            asked, unrecorded = await _stop(invocation, app, texts, why)
            return await _wait_for_proof(invocation, app, asked, unrecorded, seconds)
    except StoreError as error:
        if _knows_nothing(invocation, error):
            # An empty folder would say that nothing is live.
            raise
        return await _cancel_unstored(invocation, texts, seconds, error)


async def _stop(
    invocation: Invocation, app: App, texts: Sequence[str], why: str
) -> tuple[Sequence[Run], Sequence[RunId]]:
    """Stop the runs; return them, and apart from them the launched runs that the store does not know."""
    operations = app.engine.operations
    if not texts:
        return await operations.stop_all(by=invocation.by, why=why), await _unrecorded(invocation, app)
    # All arguments are resolved before anything is stopped: a typing mistake stops nothing.
    chosen: list[RunId] = []
    lost: list[RunId] = []
    for text in texts:
        try:
            runs = await resolve_runs(app.engine.queries, text)
        except CommandError:
            unrecorded = await _unrecorded(invocation, app)
            matching = [run_id for run_id in unrecorded if run_id.startswith(text.strip().lower())]
            if not matching:
                raise
            lost += matching
        else:
            # For a key every open attempt; if none is open, the last one, to report how it ended.
            chosen += [run.id for run in [run for run in runs if run.state is not State.ENDED] or [runs[-1]]]
    # At once: a store that does not answer delays each of them.
    stops = (operations.stop(run_id, by=invocation.by, why=why) for run_id in dict.fromkeys(chosen))
    return await asyncio.gather(*stops), lost


async def _unrecorded(invocation: Invocation, app: App) -> tuple[RunId, ...]:
    """The launched runs that the store does not know, as after a backup was put back."""
    try:
        return await app.engine.queries.unrecorded_launches()
    except (JournalError, StoreError) as error:
        invocation.say(f"launches that the store does not know were not looked for: {sanitize(str(error), limit=400)}")
        return ()


async def _pause(invocation: Invocation, seconds: float | None, why: str) -> int:
    """Pause and, if `seconds` are given, stop all runs and wait that long for their ends."""
    recorded = None
    is_new = not (invocation.folder / DATABASE).exists()
    try:
        async with opened_for_emergency(invocation, busy_ms=STOP_BUSY_MS) as app:
            if is_new:
                folder = sanitize(str(invocation.folder), limit=400)
                invocation.say(f"the state folder {folder} is new: processes that use another one are not paused")
            unstored = (await app.engine.operations.pause(by=invocation.by, why=why)).unstored
            recorded = not unstored
            _report_pause(invocation, unstored)
            if seconds is not None:
                asked = await app.engine.operations.stop_all(by=invocation.by, reason=StopReason.KILL_SWITCH, why=why)
                unrecorded = await _unrecorded(invocation, app)
                return await _wait_for_proof(invocation, app, asked, unrecorded, seconds, pause={"recorded": recorded})
    except StoreError as error:
        if _knows_nothing(invocation, error):
            raise
        if recorded is None:
            recorded = False
            _pause_by_file(invocation, error, why)
        if seconds is not None:
            return await _cancel_unstored(invocation, (), seconds, error, pause={"recorded": recorded})
    if invocation.json:
        invocation.out_json({"paused": True, "recorded": recorded, "runs": []})
    return ExitCode.OK


def _knows_nothing(invocation: Invocation, error: StoreError) -> bool:
    """Return whether there is neither a state store nor a launch journal that names what could be stopped."""
    return isinstance(error, StoreAbsent) and not (invocation.folder / "launch.journal").exists()


def _pause_by_file(invocation: Invocation, error: StoreError, why: str) -> None:
    """Pause without the database. Raises StoreError if that does not work either."""
    try:
        request_pause(invocation.folder, by=invocation.by, now=SystemClock().now(), why=why)
    except StoreError as reason:
        invocation.say(f"NOT PAUSED, launches go on: {sanitize(str(reason), limit=400)}")
        raise error from reason
    _report_pause(invocation, str(error))


def _report_pause(invocation: Invocation, unstored: str) -> None:
    invocation.say("paused: launches are blocked until `nightdesk resume`")
    if unstored:
        why = sanitize(unstored, limit=400)
        invocation.say(f"the file {PAUSE_FILE} blocks them; not recorded in the store and the log yet: {why}")


async def _cancel_unstored(
    invocation: Invocation,
    texts: Sequence[str],
    seconds: float,
    error: StoreError,
    *,
    pause: dict[str, object] | None = None,
) -> int:
    """Send the cancels past the store, which does not answer, and wait for the ends at the service."""

    try:
        sent = await cancel_unstored(invocation, texts, seconds, partial(_report_unstored, invocation))
    except (ValueError, ConfigError, CommandError, JournalError) as reason:
        invocation.say(f"no cancel could be sent from here either: {sanitize(str(reason), limit=400)}")
        raise error from None
    if not sent:
        invocation.say("the service shows no run as live that was launched here")
    invocation.say(f"{sanitize(str(error), limit=400)}; `nightdesk ps` shows the runs once the store can be read")
    if invocation.json:
        runs = [_unstored_json(each) for each in sent]
        invocation.out_json(runs if pause is None else {"paused": True, **pause, "runs": runs})
    return ExitCode.UNCONFIRMED


def _report_unstored(invocation: Invocation, cancel: UnstoredCancel) -> None:
    told = f"the service shows it as {cancel.shown}" if cancel.shown else f"cancel sent: {cancel.answer}"
    invocation.say(f"run {short_id(cancel.run_id)}: {told}; not recorded")


def _unstored_json(cancel: UnstoredCancel) -> Json:
    return {"run": cancel.run_id, "remote_id": cancel.remote_id, "answer": cancel.answer, "shown": cancel.shown}


async def _cancel_unrecorded(
    invocation: Invocation, run_ids: Sequence[RunId], seconds: float
) -> tuple[UnstoredCancel, ...]:
    """Cancel launched runs that the store does not know and that the service shows as live."""
    if not run_ids:
        return ()
    try:
        return await cancel_unstored(invocation, run_ids, seconds, partial(_report_unstored, invocation))
    except (ValueError, ConfigError, CommandError, JournalError) as error:
        what = counted(len(run_ids), "launched run")
        invocation.say(f"{what} without a row cannot be cancelled from here: {sanitize(str(error), limit=400)}")
        return ()


async def _resume(invocation: Invocation, why: str) -> int:
    async with opened(invocation) as app:
        await app.engine.operations.resume(by=invocation.by, why=why)
    if invocation.json:
        invocation.out_json({"paused": False})
    else:
        invocation.say("launches resumed")
    return ExitCode.OK


async def _wait_for_proof(
    invocation: Invocation,
    app: App,
    asked: Sequence[Run],
    unrecorded: Sequence[RunId],
    seconds: float,
    *,
    pause: dict[str, object] | None = None,
) -> int:
    """Wait until every run is shown to have ended, for at most `seconds`."""
    reason = StopReason.OPERATOR if pause is None else StopReason.KILL_SWITCH
    lost = asyncio.create_task(_cancel_unrecorded(invocation, unrecorded, seconds))
    for run in asked:
        invocation.say(progress_line(run) + (" (ended before)" if run.state is State.ENDED else ""))
    # A process must repeat the cancels and look for the end; if none lives, the background supervisor does it.
    try:
        await hand_over(invocation, app)
    except HandoverFailed as error:
        # The stops are asked for, and a process that lives may prove them; nobody else would.
        invocation.say(f"{error}; runs without a living guard are not watched; keep `nightdesk` open")
    ends = await ProofWaiter(app, asked, by=invocation.by, reason=reason).wait(seconds)
    for before, end in zip(asked, ends, strict=True):
        if end.shown is not None:
            invocation.say(
                f"{progress_name(end.run)}: the service shows it as {end.shown}; not recorded yet: "
                "the process that supervises it records the end once it can write to the state store"
            )
        elif before.state is not State.ENDED:
            invocation.say(progress_line(end.run))
    sent = await lost
    if invocation.json:
        now = app.clock.now()
        runs = [{**run_json(end.run, now), **({"shown": end.shown} if end.shown else {})} for end in ends]
        runs += [_unstored_json(cancel) for cancel in sent]
        invocation.out_json(runs if pause is None else {"paused": True, **pause, "runs": runs})
    is_proven = all(end.run.state is State.ENDED for end in ends) and not sent
    return ExitCode.OK if is_proven else ExitCode.UNCONFIRMED
