"""`settle`: a person rules on what no machine can know."""

from __future__ import annotations

import asyncio

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.domain.text import sanitize

RULINGS = ("adopt", "not-launched", "write-off")


@click.command("settle")
@click.argument("run")
@click.argument("ruling", type=click.Choice(RULINGS), metavar="adopt|not-launched|write-off")
@click.argument("remote_id", required=False, metavar="[ID]")
@click.option("--reason", metavar="R", required=True, help="Why, for the record.")
@json_option
@pass_invocation
def settle_command(shell: Invocation, run: str, ruling: str, remote_id: str | None, reason: str) -> int:
    """Rule on an unconfirmed RUN, or on one still stopping after its alarm.

    adopt ID: the run is that interaction, which must carry its label. not-launched: nothing runs, the hold is
    released. write-off: nobody will know, the books close at the hold.
    """
    if (remote_id is not None) != (ruling == "adopt"):
        raise click.UsageError("adopt takes the ID of the interaction, the other rulings take none")
    return asyncio.run(_settle(shell, run, ruling, remote_id or "", reason))


async def _settle(shell: Invocation, text: str, ruling: str, remote_id: str, reason: str) -> int:
    from console.cli.arguments import resolve_run
    from console.cli.handover import hand_over
    from console.cli.opening import opened
    from console.cli.render.run_json import run_json
    from console.cli.render.runs import progress_line

    async with opened(shell) as house:
        run = await resolve_run(house.engine.queries, text)
        operations = house.engine.operations
        match ruling:
            case "adopt":
                settled = await operations.settle_adopt(run.id, remote_id, by=shell.by, reason=reason)
            case "not-launched":
                settled = await operations.settle_not_launched(run.id, by=shell.by, reason=reason)
            case _:
                settled = await operations.settle_write_off(run.id, by=shell.by, reason=reason)
        shell.say(f"settled as {ruling}: {sanitize(progress_line(settled))}")
        # An adopted run is live again and needs a guard.
        await hand_over(shell, house)
        if shell.json:
            shell.out_json(run_json(settled, house.clock.now()))
    return ExitCode.OK
