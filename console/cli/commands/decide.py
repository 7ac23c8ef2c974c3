"""`approve` and `decline`: a person decides a proposal. Nothing that an agent wrote stands in what is printed."""

from __future__ import annotations

import asyncio

import click

from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, with_json
from console.cli.verdicts import exit_of_answer
from console.domain.text import safe


@click.command("approve")
@click.argument("run")
@with_json
@pass_shell
def approve_command(shell: Shell, run: str) -> int:
    """Let a proposed RUN start. The process that waits for it launches, else any engine does."""
    return asyncio.run(_approve(shell, run))


@click.command("decline")
@click.argument("run")
@click.option("--reason", metavar="R", default="", help="Why, for the record.")
@with_json
@pass_shell
def decline_command(shell: Shell, run: str, reason: str) -> int:
    """End a proposed RUN without a launch."""
    return asyncio.run(_decline(shell, run, reason))


async def _approve(shell: Shell, text: str) -> int:
    from console.cli.leave import hand_over
    from console.cli.opening import opened
    from console.cli.run_json import answer_json
    from console.cli.selecting import run_meant
    from console.engine.snapshot import LaunchKind

    async with opened(shell) as house:
        run = await run_meant(house.engine.view, text)
        answer = await house.engine.desk.approve(run.id, by=shell.by)
        if answer.kind is LaunchKind.LAUNCHED:
            shell.say(f"approved: {safe(run.task)} {run.id}")
            await hand_over(shell, house)
        else:
            shell.say(f"{answer.kind}: {answer.refusal.sentence if answer.refusal else safe(answer.run.note)}")
        if shell.json:
            shell.out_json(answer_json(answer, answer.run, house.clock.now()))
    return exit_of_answer(answer)


async def _decline(shell: Shell, text: str, reason: str) -> int:
    from console.cli.opening import opened
    from console.cli.run_json import run_json
    from console.cli.selecting import run_meant

    async with opened(shell) as house:
        run = await run_meant(house.engine.view, text)
        declined = await house.engine.desk.decline(run.id, by=shell.by, reason=reason)
        shell.say(f"declined: {safe(run.task)} {run.id}")
        if shell.json:
            shell.out_json(run_json(declined, house.clock.now()))
    return Exit.OK
