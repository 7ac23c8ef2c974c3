"""`caps`: how full each cap is and when it frees; `caps raise` lifts one once, for its present window."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.domain.limits import UNIT_CAPS, Cap

if TYPE_CHECKING:
    from console.domain.limits import CapUsage

TASK_CAPS = frozenset({Cap.TASK_DAILY_RUNS, Cap.TASK_DAILY_UNITS})


@click.group("caps", invoke_without_command=True)
@json_option
@pass_invocation
@click.pass_context
def caps_command(context: click.Context, shell: Invocation) -> int | None:
    """How full the caps are, and when they free."""
    return None if context.invoked_subcommand else asyncio.run(_print(shell))


@caps_command.command("raise")
@click.argument("name")
@click.argument("amount", metavar="UNITS")
@click.option("--task", metavar="T", help="For task_daily_units and task_daily_runs: whose.")
@click.option("--reason", metavar="R", required=True, help="Why, for the record.")
@json_option
@pass_invocation
def raise_command(shell: Invocation, name: str, amount: str, task: str | None, reason: str) -> int:
    """Add UNITS (or launches) to the cap NAME, once, for the window that is open now."""
    return asyncio.run(_raise(shell, *_understood(name, amount, task), task=task, reason=reason))


def _understood(name: str, amount: str, task: str | None) -> tuple[Cap, int]:
    from console.domain.usage import parse_decimal

    known = [cap.value for cap in Cap]
    if name not in known:
        raise CommandError(ExitCode.USAGE, f"no cap is named {name!r}; known: {', '.join(known)}")
    cap = Cap(name)
    if (task is not None) != (cap in TASK_CAPS):
        raise CommandError(
            ExitCode.USAGE, "--task goes with task_daily_units and task_daily_runs, and with no other cap"
        )
    try:
        return cap, parse_decimal(amount, 3 if cap in UNIT_CAPS else 0)
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"{error}; accepted: a number such as 50 or, for units, 0.5") from None


async def _raise(shell: Invocation, cap: Cap, amount: int, *, task: str | None, reason: str) -> int:
    from console.cli.opening import opened

    async with opened(shell) as house:
        if task is not None and house.engine.settings.task(task) is None:
            raise CommandError(ExitCode.USAGE, f"no task is named {task!r}")
        await house.engine.operations.raise_cap(cap, amount, task=task, by=shell.by, reason=reason)
    shell.say(f"raised {cap} for this window")
    return await _print(shell)


async def _print(shell: Invocation) -> int:
    from console.cli.opening import opened
    from console.cli.render.run_json import cap_usage_json, instant
    from console.cli.render.runs import cap_usage_line

    async with opened(shell) as house:
        settings = house.engine.settings
        found: list[tuple[str | None, CapUsage]] = [
            (None, cap_usage) for cap_usage in (await house.engine.queries.snapshot()).cap_usages
        ]
        for task in settings.tasks:
            cap_usages = await house.store.ledger.cap_usages(settings.caps, house.clock.now(), task)
            found += [(task.name, own) for own in cap_usages if own.cap in TASK_CAPS and own.limit is not None]
    if shell.json:
        shell.out_json([{"task": name, **cap_usage_json(cap_usage)} for name, cap_usage in found])
        return ExitCode.OK
    for name, cap_usage in found:
        frees = instant(cap_usage.frees_at_ms)
        shell.out((f"{name} " if name else "") + cap_usage_line(cap_usage) + (f"; frees at {frees}" if frees else ""))
    return ExitCode.OK
