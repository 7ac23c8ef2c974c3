"""`approve`, `decline` and `settle`: a person decides about a proposal or an unconfirmed run."""

from __future__ import annotations

import asyncio

import click

from console.cli.arguments import resolve_run, run_ids
from console.cli.exit_codes import ExitCode
from console.cli.handover import hand_over
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import answer_json, run_json
from console.cli.render.runs import progress_line
from console.cli.run_exit_codes import exit_code_of_launch
from console.domain.text import sanitize
from console.engine.models import LaunchKind

RULINGS = ("adopt", "not-launched", "write-off")


@click.command("approve")
@click.argument("run", shell_complete=run_ids)
@click.option("--reason", metavar="R", default="", help="The reason, for the record.")
@json_option
@pass_invocation
def approve_command(invocation: Invocation, run: str, reason: str) -> int:
    """Approve a proposed RUN. The process that waits for it launches it; if there is none, any other one does."""
    return asyncio.run(_approve(invocation, run, reason))


@click.command("decline")
@click.argument("run", shell_complete=run_ids)
@click.option("--reason", metavar="R", default="", help="The reason, for the record.")
@json_option
@pass_invocation
def decline_command(invocation: Invocation, run: str, reason: str) -> int:
    """Decline a proposed RUN."""
    return asyncio.run(_decline(invocation, run, reason))


async def _approve(invocation: Invocation, text: str, reason: str) -> int:
    async with opened(invocation) as app:
        run = await resolve_run(app.engine.queries, text)
        answer = await app.engine.operations.approve(run.id, by=invocation.by, why=reason)
        if answer.kind is LaunchKind.LAUNCHED:
            invocation.say(f"approved: {sanitize(run.task)} {run.id}")
            await hand_over(invocation, app)
        else:
            invocation.say(f"{answer.kind}: {answer.refusal.sentence if answer.refusal else sanitize(answer.run.note)}")
        if invocation.json:
            invocation.out_json(answer_json(answer, answer.run, app.clock.now()))
    return exit_code_of_launch(answer)


async def _decline(invocation: Invocation, text: str, reason: str) -> int:
    async with opened(invocation) as app:
        run = await resolve_run(app.engine.queries, text)
        declined = await app.engine.operations.decline(run.id, by=invocation.by, reason=reason)
        invocation.say(f"declined: {sanitize(run.task)} {run.id}")
        if invocation.json:
            invocation.out_json(run_json(declined, app.clock.now()))
    return ExitCode.OK


@click.command("settle")
@click.argument("run", shell_complete=run_ids)
@click.argument("ruling", type=click.Choice(RULINGS), metavar="adopt|not-launched|write-off")
@click.argument("remote_id", required=False, metavar="[ID]")
@click.option("--reason", metavar="R", required=True, help="The reason, for the record.")
@json_option
@pass_invocation
def settle_command(invocation: Invocation, run: str, ruling: str, remote_id: str | None, reason: str) -> int:
    """Resolve an unconfirmed RUN, or one still stopping after its alarm.

    adopt ID: the run is the interaction with that ID, which must carry its label. not-launched: nothing runs; the hold
    is released. write-off: it stays unknown what happened; the whole hold is booked.
    """
    if (remote_id is not None) != (ruling == "adopt"):
        raise click.UsageError("adopt requires the ID of the interaction; the other answers take none")
    return asyncio.run(_settle(invocation, run, ruling, remote_id or "", reason))


async def _settle(invocation: Invocation, text: str, ruling: str, remote_id: str, reason: str) -> int:
    async with opened(invocation) as app:
        run = await resolve_run(app.engine.queries, text)
        operations = app.engine.operations
        match ruling:
            case "adopt":
                settled = await operations.settle_adopt(run.id, remote_id, by=invocation.by, reason=reason)
            case "not-launched":
                settled = await operations.settle_not_launched(run.id, by=invocation.by, reason=reason)
            case _:
                settled = await operations.settle_write_off(run.id, by=invocation.by, reason=reason)
        invocation.say(f"settled as {ruling}: {sanitize(progress_line(settled))}")
        # An adopted run is live again and needs a guard.
        await hand_over(invocation, app)
        if invocation.json:
            invocation.out_json(run_json(settled, app.clock.now()))
    return ExitCode.OK
