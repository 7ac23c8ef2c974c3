"""`approve` and `decline`: a person decides a proposal. Nothing that an agent wrote stands in what is printed."""

from __future__ import annotations

import asyncio

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.run_exit_codes import exit_code_of_launch
from console.domain.text import sanitize


@click.command("approve")
@click.argument("run")
@json_option
@pass_invocation
def approve_command(shell: Invocation, run: str) -> int:
    """Let a proposed RUN start. The process that waits for it launches, else any engine does."""
    return asyncio.run(_approve(shell, run))


@click.command("decline")
@click.argument("run")
@click.option("--reason", metavar="R", default="", help="Why, for the record.")
@json_option
@pass_invocation
def decline_command(shell: Invocation, run: str, reason: str) -> int:
    """End a proposed RUN without a launch."""
    return asyncio.run(_decline(shell, run, reason))


async def _approve(shell: Invocation, text: str) -> int:
    from console.cli.arguments import resolve_run
    from console.cli.handover import hand_over
    from console.cli.opening import opened
    from console.cli.render.run_json import answer_json
    from console.engine.models import LaunchKind

    async with opened(shell) as house:
        run = await resolve_run(house.engine.queries, text)
        answer = await house.engine.operations.approve(run.id, by=shell.by)
        if answer.kind is LaunchKind.LAUNCHED:
            shell.say(f"approved: {sanitize(run.task)} {run.id}")
            await hand_over(shell, house)
        else:
            shell.say(f"{answer.kind}: {answer.refusal.sentence if answer.refusal else sanitize(answer.run.note)}")
        if shell.json:
            shell.out_json(answer_json(answer, answer.run, house.clock.now()))
    return exit_code_of_launch(answer)


async def _decline(shell: Invocation, text: str, reason: str) -> int:
    from console.cli.arguments import resolve_run
    from console.cli.opening import opened
    from console.cli.render.run_json import run_json

    async with opened(shell) as house:
        run = await resolve_run(house.engine.queries, text)
        declined = await house.engine.operations.decline(run.id, by=shell.by, reason=reason)
        shell.say(f"declined: {sanitize(run.task)} {run.id}")
        if shell.json:
            shell.out_json(run_json(declined, house.clock.now()))
    return ExitCode.OK
