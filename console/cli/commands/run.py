"""`run`: one launch without a screen, supervised to its end. For cron, scripts and people who like a prompt."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from console.cli.arguments import task_names
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.run_exit_codes import exit_code_of_launch, exit_code_of_run
from console.domain.text import sanitize

if TYPE_CHECKING:
    from console.app import App
    from console.cli.signals import ShutdownRequest
    from console.config import Settings
    from console.domain.run import Run, RunId
    from console.engine.models import LaunchRequest, LaunchResult

LOOK_SECONDS = 0.2
"""Between two looks at the run for a status line."""


@click.command("run")
@click.argument("task", shell_complete=task_names)
@click.option(
    "--date", metavar="D", help="The key's date: 2026-11-23, or 20261123T0200Z for slots. Default: what is due."
)
@click.option("--target", metavar="T", help="Another target than the task's own; it has keys of its own.")
@click.option(
    "--origin", type=click.Choice(("manual", "schedule")), help="Default: manual at a terminal, else schedule."
)
@click.option("--no-wait", is_flag=True, help="Return once it runs; the background supervisor guards it.")
@click.option("--rerun", is_flag=True, help="By hand: run a key again that has ended. Needs --reason.")
@click.option("--reason", metavar="R", default="", help="Why, for the record.")
@json_option
@pass_invocation
def run_command(
    shell: Invocation,
    task: str,
    date: str | None,
    target: str | None,
    origin: str | None,
    no_wait: bool,
    rerun: bool,
    reason: str,
) -> int:
    """Launch TASK and supervise it to its end.

    Exit: 0 ok or skipped, 1 failed, 3 timeout, 4 budget, 5 cancelled, 6 refused, 7 unconfirmed, 8 state store,
    75 not sent. Ctrl-C hands the run over and does not stop it.
    """
    from console.engine.models import LaunchRequest

    if rerun and not reason.strip():
        raise click.UsageError("--rerun takes a --reason")
    if rerun and origin == "schedule":
        raise click.UsageError("--rerun is by hand: it does not go with --origin schedule")
    by_hand = origin == "manual" or rerun or (origin is None and shell.stdin.isatty())
    request = LaunchRequest(
        task=task, date=date, target=target, scheduled=not by_hand, by=shell.by, rerun=rerun, reason=reason
    )
    return asyncio.run(_launch(shell, shell.settings(), request, wait=not no_wait))


async def _launch(shell: Invocation, settings: Settings, request: LaunchRequest, *, wait: bool) -> int:
    from console.app import engine_settings, open_app, provider_factory
    from console.cli.signals import shutdown_on_signals
    from console.engine.settings import ProcessKind

    async with open_app(
        folder=shell.folder,
        settings=engine_settings(settings, ProcessKind.RUN),
        make_provider=provider_factory(settings.provider, shell.environment),
    ) as house:
        # Before the claim: without a usable key there is nothing to take a hold for.
        house.provider.ready()
        with shutdown_on_signals() as leaving:
            answer = await house.engine.operations.launch(request)
            _told(shell, answer)
            run = await _followed(shell, house, answer.run.id, leaving, wait=wait)
            return await _farewell(shell, house, answer, run, leaving)


def _told(shell: Invocation, answer: LaunchResult) -> None:
    from console.engine.models import LaunchKind

    if answer.kind in (LaunchKind.SKIPPED, LaunchKind.REFUSED):
        word = "skipped" if answer.kind is LaunchKind.SKIPPED else "refused"
        why = answer.refusal.sentence if answer.refusal else answer.run.note
        holder = f" (run {answer.holder.id})" if answer.holder and answer.holder.id not in why else ""
        shell.say(f"{sanitize(answer.run.task)}: {word}: {sanitize(why, limit=400)}{holder}")
    for difference in answer.differences:
        shell.say(f"  changed: {sanitize(difference, limit=200)}")


async def _followed(shell: Invocation, house: App, run_id: RunId, leaving: ShutdownRequest, *, wait: bool) -> Run:
    """The run once it is settled, or launched where nobody waits, or as it is when we are asked to go."""
    from console.cli.render.runs import change_key, progress_line

    told: tuple[object, ...] | None = None
    while True:
        run = await _looked_at(shell, house, run_id)
        if run.attempt and change_key(run) != told:
            told = change_key(run)
            shell.say(progress_line(run))
        if leaving.code is not None or _is_over(run, wait=wait):
            return run
        await leaving.wait(LOOK_SECONDS)


async def _looked_at(shell: Invocation, house: App, run_id: RunId) -> Run:
    """The run now; while the store does not answer, the guard goes on, and so does the wait. Raises Failure."""
    from console.cli.exit_codes import CommandError
    from console.engine.errors import StoreError

    told = False
    while True:
        try:
            return await house.engine.get_run(run_id)
        except StoreError as error:
            if run_id not in house.engine.guarded:
                raise CommandError(
                    ExitCode.UNCONFIRMED, f"run {run_id} may go on and cannot be looked at: {error}"
                ) from error
            if not told:
                told = True
                shell.say(f"{error}; the run is guarded on")
            await asyncio.sleep(LOOK_SECONDS)


def _is_over(run: Run, *, wait: bool) -> bool:
    from console.domain.run import State

    if run.state in (State.ENDED, State.UNCONFIRMED):
        return True
    return not wait and run.state in (State.PROPOSED, State.RUNNING, State.STOPPING)


async def _farewell(shell: Invocation, house: App, answer: LaunchResult, run: Run, leaving: ShutdownRequest) -> int:
    from console.cli.handover import hand_over
    from console.cli.render.run_json import answer_json
    from console.cli.render.runs import short
    from console.engine.errors import StoreError

    guard = await hand_over(shell, house, run.id)
    if guard:
        shell.say(f"run {run.id} goes on, guarded by {guard}; to stop it: nightdesk cancel {short(run.id)}")
    with suppress(StoreError):
        run = await house.store.runs.get(run.id) or run
        for change in await house.store.stages.changes(run.task):
            if change.run_id == run.id:
                shell.say(
                    f"{sanitize(run.task)} went down from {change.before.label} to {change.after.label}: see its stage"
                )
    if shell.json:
        shell.out_json(answer_json(answer, run, house.clock.now()))
    if leaving.code is not None:
        return leaving.code
    return exit_code_of_run(run) if run.attempt else exit_code_of_launch(answer)
