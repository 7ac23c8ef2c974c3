"""`caps`: how full each cap is and when it frees; `caps raise` lifts one once, for its present window."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli.exits import Exit
from console.cli.failures import Failure
from console.cli.shell import Shell, pass_shell, with_json
from console.domain.guardrails import UNIT_CAPS, Cap

if TYPE_CHECKING:
    from console.domain.guardrails import Standing

TASK_CAPS = frozenset({Cap.TASK_DAILY_RUNS, Cap.TASK_DAILY_UNITS})


@click.group("caps", invoke_without_command=True)
@with_json
@pass_shell
@click.pass_context
def caps_command(context: click.Context, shell: Shell) -> int | None:
    """How full the caps are, and when they free."""
    return None if context.invoked_subcommand else asyncio.run(_print(shell))


@caps_command.command("raise")
@click.argument("name")
@click.argument("amount", metavar="UNITS")
@click.option("--task", metavar="T", help="For task_daily_units and task_daily_runs: whose.")
@click.option("--reason", metavar="R", required=True, help="Why, for the record.")
@with_json
@pass_shell
def raise_command(shell: Shell, name: str, amount: str, task: str | None, reason: str) -> int:
    """Add UNITS (or launches) to the cap NAME, once, for the window that is open now."""
    return asyncio.run(_raise(shell, *_understood(name, amount, task), task=task, reason=reason))


def _understood(name: str, amount: str, task: str | None) -> tuple[Cap, int]:
    from console.domain.usage import parse_decimal

    known = [cap.value for cap in Cap]
    if name not in known:
        raise Failure(Exit.USAGE, f"no cap is named {name!r}; known: {', '.join(known)}")
    cap = Cap(name)
    if (task is not None) != (cap in TASK_CAPS):
        raise Failure(Exit.USAGE, "--task goes with task_daily_units and task_daily_runs, and with no other cap")
    try:
        return cap, parse_decimal(amount, 3 if cap in UNIT_CAPS else 0)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{error}; accepted: a number such as 50 or, for units, 0.5") from None


async def _raise(shell: Shell, cap: Cap, amount: int, *, task: str | None, reason: str) -> int:
    from console.cli.opening import opened

    async with opened(shell) as house:
        if task is not None and house.engine.settings.task(task) is None:
            raise Failure(Exit.USAGE, f"no task is named {task!r}")
        await house.engine.desk.raise_cap(cap, amount, task=task, by=shell.by, reason=reason)
    shell.say(f"raised {cap} for this window")
    return await _print(shell)


async def _print(shell: Shell) -> int:
    from console.cli.opening import opened
    from console.cli.run_json import instant, standing_json
    from console.cli.run_table import standing_line

    async with opened(shell) as house:
        settings = house.engine.settings
        found: list[tuple[str | None, Standing]] = [
            (None, standing) for standing in (await house.engine.view.snapshot()).standings
        ]
        for task in settings.tasks:
            standings = await house.store.ledger.standings(settings.caps, house.clock.now(), task)
            found += [(task.name, own) for own in standings if own.cap in TASK_CAPS and own.limit is not None]
    if shell.json:
        shell.out_json([{"task": name, **standing_json(standing)} for name, standing in found])
        return Exit.OK
    for name, standing in found:
        frees = instant(standing.frees_at_ms)
        shell.out((f"{name} " if name else "") + standing_line(standing) + (f"; frees at {frees}" if frees else ""))
    return Exit.OK
