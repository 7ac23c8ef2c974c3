"""`caps`: how full each cap is and when it frees; `caps raise` raises one for its present period."""

from __future__ import annotations

import asyncio

import click

from console.cli.arguments import cap_names
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import cap_usage_json
from console.cli.render.runs import cap_usage_line
from console.domain.caps import UNIT_CAPS, Cap, CapUsage
from console.domain.fact_text import time_text
from console.domain.formatting import zone_or_utc
from console.domain.text import sanitize
from console.domain.usage import parse_decimal
from console.engine.queries import OTHER_CONFIG

TASK_CAPS = frozenset({Cap.TASK_DAILY_RUNS, Cap.TASK_DAILY_UNITS})


@click.group("caps", invoke_without_command=True)
@json_option
@pass_invocation
@click.pass_context
def caps_command(context: click.Context, invocation: Invocation) -> int | None:
    """Show how full the caps are and when they free."""
    return None if context.invoked_subcommand else asyncio.run(_print(invocation))


@caps_command.command("raise")
@click.argument("name", shell_complete=cap_names)
@click.argument("amount", metavar="UNITS")
@click.option("--task", metavar="T", help="The task, for task_daily_units and task_daily_runs.")
@click.option("--reason", metavar="R", required=True, help="The reason, for the record.")
@json_option
@pass_invocation
def raise_command(invocation: Invocation, name: str, amount: str, task: str | None, reason: str) -> int:
    """Add UNITS (or launches) to the cap NAME for its current period."""
    return asyncio.run(_raise(invocation, *_parse_raise(name, amount, task), task=task, reason=reason))


def _parse_raise(name: str, amount: str, task: str | None) -> tuple[Cap, int]:
    known = [cap.value for cap in Cap]
    if name not in known:
        raise CommandError(ExitCode.USAGE, f"no cap is named {sanitize(name, limit=60)!r}; known: {', '.join(known)}")
    cap = Cap(name)
    if (task is not None) != (cap in TASK_CAPS):
        raise CommandError(
            ExitCode.USAGE, "--task is for task_daily_units and task_daily_runs only, and required there"
        )
    try:
        return cap, parse_decimal(amount, 3 if cap in UNIT_CAPS else 0)
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"{error}; accepted: a number such as 50 or, for units, 0.5") from None


async def _raise(invocation: Invocation, cap: Cap, amount: int, *, task: str | None, reason: str) -> int:
    async with opened(invocation) as app:
        if task is not None and app.engine.settings.task(task) is None:
            raise CommandError(ExitCode.USAGE, f"no task is named {task!r}")
        await app.engine.operations.raise_cap(cap, amount, task=task, by=invocation.by, reason=reason)
    invocation.say(f"raised {cap} for its current period")
    return await _print(invocation)


async def _print(invocation: Invocation) -> int:
    async with opened(invocation) as app:
        settings, snapshot = app.engine.settings, await app.engine.queries.snapshot()
        for problem in snapshot.problems:
            if problem.topic == OTHER_CONFIG:
                invocation.say(problem.line(snapshot.taken.wall_ms))
        found: list[tuple[str | None, CapUsage]] = [(None, cap_usage) for cap_usage in snapshot.cap_usages]
        for task in settings.tasks:
            cap_usages = await app.store.ledger.cap_usages(settings.caps, app.clock.now(), task)
            found += [(task.name, own) for own in cap_usages if own.cap in TASK_CAPS and own.limit is not None]
    if invocation.json:
        invocation.out_json([{"task": name, **cap_usage_json(cap_usage)} for name, cap_usage in found])
        return ExitCode.OK
    zone = zone_or_utc(settings.caps.time_zone)
    for name, cap_usage in found:
        frees = None if cap_usage.frees_at_ms is None else time_text(cap_usage.frees_at_ms, zone)
        invocation.out(
            (f"{name} " if name else "") + cap_usage_line(cap_usage) + (f"; frees at {frees}" if frees else "")
        )
    return ExitCode.OK
