"""`run`: one launch, supervised to its end, without a screen. For cron, scripts and the command line."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click

from console.app import App
from console.cli.arguments import check_task, task_names
from console.cli.exit_codes import CommandError, ExitCode, HandoverFailed
from console.cli.handover import hand_over
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import answer_json
from console.cli.render.runs import progress_key, progress_line, short_id
from console.cli.run_exit_codes import exit_code_of_launch, exit_code_of_run
from console.cli.signals import ShutdownRequest, shutdown_on_signals
from console.config import Settings
from console.domain.caps import RefusalKind
from console.domain.key import TARGET_ACCEPTED, check_target
from console.domain.run import Run, RunId, State
from console.domain.text import is_blank, sanitize
from console.engine.errors import StoreError
from console.engine.models import LaunchKind, LaunchRequest, LaunchResult
from console.engine.settings import ProcessKind

NOT_SUSPENDED = "not suspended: this process guards the run; ctrl-c hands it over to the background supervisor"
POLL_S = 0.2
"""Seconds between two reads of the run for a status line."""


@click.command("run")
@click.argument("task", shell_complete=task_names)
@click.option(
    "--date", metavar="D", help="The date of the key: 2026-11-23, or 20261123T0200Z for slots. Default: what is due."
)
@click.option("--target", metavar="T", help="Another target than the task's own. Each target has its own keys.")
@click.option(
    "--origin", type=click.Choice(("manual", "schedule")), help="Default: manual at a terminal, otherwise schedule."
)
@click.option("--no-wait", is_flag=True, help="Return once it is launched; the background supervisor guards it.")
@click.option("--rerun", is_flag=True, help="Run a key again whose run has ended. By hand only; needs --reason.")
@click.option("--reason", metavar="R", default="", help="The reason, for the record.")
@json_option
@pass_invocation
def run_command(
    invocation: Invocation,
    task: str,
    date: str | None,
    target: str | None,
    origin: str | None,
    no_wait: bool,
    rerun: bool,
    reason: str,
) -> int:
    """Launch TASK and supervise it until it ends.

    Exit: 0 ok or skipped, 1 failed, 3 timeout, 4 budget, 5 cancelled, 6 refused, 7 unconfirmed, 8 state store,
    75 not sent. Ctrl-C hands the run to the background supervisor and does not stop it.
    """
    if rerun and is_blank(reason):
        raise click.UsageError("--rerun requires --reason")
    if rerun and origin == "schedule":
        raise click.UsageError("--rerun is by hand and cannot be combined with --origin schedule")
    if target is not None:
        try:
            check_target(target)
        except ValueError as error:
            raise click.UsageError(f"--target {error}; accepted: {TARGET_ACCEPTED}") from None
    by_hand = origin == "manual" or rerun or (origin is None and invocation.stdin.isatty())
    request = LaunchRequest(
        task=task, date=date, target=target, scheduled=not by_hand, by=invocation.by, rerun=rerun, reason=reason
    )
    settings = invocation.settings()
    provider = check_task(settings, task).provider
    guessed = origin is None and request.scheduled
    return asyncio.run(_launch(invocation, settings, request, provider, wait=not no_wait, guessed=guessed))


async def _launch(
    invocation: Invocation, settings: Settings, request: LaunchRequest, provider: str, *, wait: bool, guessed: bool
) -> int:
    """Launch and follow. `guessed`: nobody said whether a person or a schedule asks."""
    async with opened(invocation, ProcessKind.RUN, settings=settings) as app:
        # Before the claim: without a usable key there is nothing to take a hold for.
        app.providers[provider].ready()
        with shutdown_on_signals(on_suspend=lambda: invocation.say(NOT_SUSPENDED)) as shutdown:
            answer = await app.engine.operations.launch(request)
            _report_answer(invocation, answer, guessed=guessed)
            run, is_guarded = await _supervised(invocation, app, answer.run.id, shutdown, wait=wait)
            if not is_guarded:
                return ExitCode.UNCONFIRMED
            return await _finish(invocation, app, answer, run, shutdown)


async def _supervised(
    invocation: Invocation, app: App, run_id: RunId, shutdown: ShutdownRequest, *, wait: bool
) -> tuple[Run, bool]:
    """Supervise the run until it is over or handed over. Return it, and False if it goes on without a guard."""
    failed_before = False
    while True:
        run = await _follow(invocation, app, run_id, shutdown, wait=wait)
        try:
            guard = await hand_over(invocation, app, run.id)
        except HandoverFailed as error:
            over = run.state in (State.ENDED, State.UNCONFIRMED)
            if over or failed_before:
                await app.engine.hand_over()
                invocation.say(f"{error}; {'open runs have' if over else f'run {run.id} has'} no supervisor now")
                return run, over
            again = " again" if shutdown.code is not None else ""
            invocation.say(f"{error}; this process goes on supervising run {run.id} until it is asked to end{again}")
            failed_before = True
            shutdown.reset()
            wait = True
        else:
            if guard:
                stop = f"to stop it: nightdesk cancel {short_id(run.id)}"
                invocation.say(f"run {run.id} goes on, supervised by {guard}; {stop}")
            return run, True


def _report_answer(invocation: Invocation, answer: LaunchResult, *, guessed: bool) -> None:
    if answer.kind in (LaunchKind.SKIPPED, LaunchKind.REFUSED):
        word = "skipped" if answer.kind is LaunchKind.SKIPPED else "refused"
        why = answer.refusal.sentence if answer.refusal else answer.run.note
        if guessed and answer.refusal and answer.refusal.kind is RefusalKind.STAGE:
            why += " (no terminal: counted as scheduled; give --origin manual when a person asks)"
        holder = f" (run {answer.holder.id})" if answer.holder and answer.holder.id not in why else ""
        invocation.say(f"{sanitize(answer.run.task)}: {word}: {sanitize(why, limit=400)}{holder}")
    for difference in answer.differences:
        invocation.say(f"  changed: {sanitize(difference, limit=200)}")


async def _follow(invocation: Invocation, app: App, run_id: RunId, shutdown: ShutdownRequest, *, wait: bool) -> Run:
    """Return the run when it is over, when it is launched if nobody waits, or when this process is asked to end."""
    told: tuple[object, ...] | None = None
    while True:
        run = await _read_run(invocation, app, run_id)
        if run.attempt and progress_key(run) != told:
            told = progress_key(run)
            invocation.say(progress_line(run))
        if shutdown.code is not None or _is_over(run, wait=wait):
            return run
        await shutdown.wait(POLL_S)


async def _read_run(invocation: Invocation, app: App, run_id: RunId) -> Run:
    """Return the run now; wait while the store does not answer and this process guards it. Raises CommandError."""
    told = False
    while True:
        try:
            return await app.engine.get_run(run_id)
        except LookupError as error:
            message = f"run {run_id} is not in the state store any more: an older one was put back; look at the service"
            raise CommandError(ExitCode.UNCONFIRMED, message) from error
        except StoreError as error:
            if run_id not in app.engine.guarded:
                raise CommandError(
                    ExitCode.UNCONFIRMED, f"run {run_id} may be live but cannot be read: {error}"
                ) from error
            if not told:
                told = True
                invocation.say(f"{error}; the run is still supervised")
            await asyncio.sleep(POLL_S)


def _is_over(run: Run, *, wait: bool) -> bool:
    if run.state in (State.ENDED, State.UNCONFIRMED):
        return True
    return not wait and run.state in (State.PROPOSED, State.RUNNING, State.STOPPING)


async def _finish(invocation: Invocation, app: App, answer: LaunchResult, run: Run, shutdown: ShutdownRequest) -> int:
    with suppress(StoreError):
        run = await app.store.runs.get(run.id) or run
        for change in await app.store.stages.changes(run.task):
            if change.run_id == run.id:
                invocation.say(f"{sanitize(run.task)} was demoted from {change.before.label} to {change.after.label}")
    if invocation.json:
        invocation.out_json(answer_json(answer, run, app.clock.now()))
    elif run.state is State.ENDED and run.attempt:
        what = "its answer, steps and timeline" if run.result else "its steps and timeline"
        invocation.say(f"{what}: nightdesk show {short_id(run.id)}")
    if shutdown.code is not None:
        return shutdown.code
    return exit_code_of_run(run) if run.attempt else exit_code_of_launch(answer)
