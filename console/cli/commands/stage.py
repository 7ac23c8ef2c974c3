"""`stage`: the stage of each task on its way to unattended runs, and a move one stage up or down."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from zoneinfo import ZoneInfo

import click

from console.cli.arguments import task_names
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import instant
from console.cli.render.table import Cell, Column, Tone, folded, render_table
from console.domain.fact_text import time_text
from console.domain.formatting import at, zone_or_utc
from console.domain.rollout import StageChange
from console.domain.task import Stage
from console.domain.text import sanitize
from console.domain.timestamps import iso_ms
from console.engine.models import TaskRollout
from console.engine.scheduling.daily_demand import DailyDemand
from console.ui.words import user_text


@click.command("stage")
@click.argument("task", required=False, shell_complete=task_names)
@click.argument("to", required=False, type=click.Choice([stage.label for stage in Stage]))
@click.option("--reason", metavar="R", default="", help="The reason, for the record; required to demote or force.")
@click.option("--force", is_flag=True, help="Promote without the evidence, one stage at a time.")
@json_option
@pass_invocation
def stage_command(invocation: Invocation, task: str | None, to: str | None, reason: str, force: bool) -> int:
    """Show the stage of every task or of TASK, or move TASK one stage.

    A promotion needs the evidence that [rollout] demands, or --force with --reason; a demotion needs --reason. A
    promotion without evidence is refused: exit 6.
    """
    if to is None and (reason or force):
        raise click.UsageError("--reason and --force need a stage to move to")
    return asyncio.run(_stage(invocation, task, Stage.of(to) if to else None, reason, force))


async def _stage(invocation: Invocation, task: str | None, to: Stage | None, reason: str, force: bool) -> int:
    async with opened(invocation) as app:
        rollout = app.engine.rollout
        if task is not None and to is not None:
            rollouts: tuple[TaskRollout, ...] = (
                await rollout.move(task, to, by=invocation.by, reason=reason, forced=force),
            )
            invocation.say(f"{rollouts[0].task.name} is at {rollouts[0].stage.label}")
        else:
            rollouts = await rollout.tasks() if task is None else (await rollout.task(task),)
        # For one task only: that of each task needs the schedules of all others.
        demand = await rollout.demand(task) if task is not None else None
    if demand is not None and to is not None and to is not Stage.MANUAL:
        invocation.say(*demand.lines())
    if invocation.json:
        invocation.out_json([rollout_json(each, demand) for each in rollouts])
    elif to is None:
        _print(invocation, rollouts, zone_or_utc(app.engine.settings.caps.time_zone))
        if task is not None:
            lines = [*(demand.lines() if demand else ()), *_task_lines(rollouts[0])]
            invocation.out("", *folded(lines, invocation.width))
    return ExitCode.OK


def rollout_json(rollout: TaskRollout, demand: DailyDemand | None) -> dict[str, object]:
    """Return the stage of one task, with the evidence for it and the most that its schedule can take in a day."""
    evidence = asdict(rollout.evidence)
    evidence["since"] = instant(evidence.pop("since_ms"))
    for name in ("p95_units", "budget"):
        evidence[name] = None if evidence[name] is None else evidence[name] / 1000
    for name, seconds in (("p95_ms", "p95_seconds"), ("max_ms", "max_seconds")):
        value = evidence.pop(name)
        evidence[seconds] = None if value is None else value / 1000
    return {
        "task": rollout.task.name,
        "stage": rollout.stage.label,
        "effective_stage": rollout.effective.label,
        "evidence": evidence,
        "missing": list(rollout.unmet_criteria),
        "last_change": _change_json(rollout.changes[0]) if rollout.changes else None,
        "changes": [_change_json(change) for change in rollout.changes],
        "a_day_at_most": None
        if demand is None
        else {
            "runs": demand.runs,
            "units": demand.units / 1000,
            "cost": None if demand.cost_micro is None else demand.cost_micro / 1_000_000,
            "currency": demand.currency,
            "daily_units": None if demand.cap is None else demand.cap / 1000,
            "left": None if demand.left is None else demand.left / 1000,
        },
        "time_zone": rollout.task.time_zone,
        "next": [
            {
                "utc": iso_ms(time.at_ms),
                "local": at(time.at_ms, zone_or_utc(rollout.task.time_zone)).isoformat(),
                "clocks_change": time.shifts,
                "effect": EFFECTS[rollout.effective],
            }
            for time in rollout.next
        ],
    }


EFFECTS = {Stage.MANUAL: "refused", Stage.SEMI: "proposed", Stage.UNATTENDED: "launched"}
"""What happens at a scheduled time of a task at that stage."""


def _change_json(change: StageChange) -> dict[str, object]:
    return {
        "at": iso_ms(change.at_ms),
        "from": change.before.label,
        "to": change.after.label,
        "by": change.by,
        "reason": change.reason,
        "forced": change.forced,
    }


def _task_lines(rollout: TaskRollout) -> list[str]:
    """Return the next scheduled times of a task, in its zone and in UTC, and every change of its stage."""
    zone, lines = zone_or_utc(rollout.task.time_zone), []
    if rollout.next:
        lines.append(f"next, {EFFECTS[rollout.effective]} at stage {rollout.effective.label}:")
        for time in rollout.next:
            shifts = "  the clocks change before it" if time.shifts else ""
            lines.append(f"  {time_text(time.at_ms, zone)}  {iso_ms(time.at_ms)[:16]}Z{shifts}")
    else:
        lines.append("no schedule: launched by hand or by another program")
    lines.append("changes of its stage:" if rollout.changes else "never promoted")
    for change in rollout.changes:
        forced = " (forced)" if change.forced else ""
        moved = f"{change.before.label} -> {change.after.label}{forced}"
        lines.append(f"  {time_text(change.at_ms, zone)}  {moved}  {user_text(change.by)}: {sanitize(change.reason)}")
    return lines


def _print(invocation: Invocation, rollouts: tuple[TaskRollout, ...], zone: ZoneInfo) -> None:
    columns = (
        Column(title="TASK", shrink_order=1),
        Column(title="STAGE"),
        Column(title="NOW"),
        Column(title="BY HAND OK", right=True),
        Column(title="APPROVED OK", right=True),
        Column(title="MISSING", shrink_order=3),
        Column(title="LAST CHANGE", shrink_order=2),
    )
    rows = [
        [
            Cell(rollout.task.name),
            Cell(rollout.stage.label),
            Cell(rollout.effective.label, Tone.WATCH if rollout.effective is not rollout.stage else Tone.PLAIN),
            Cell(str(rollout.evidence.manual_ok)),
            Cell(str(rollout.evidence.approved_ok)),
            Cell("; ".join(rollout.unmet_criteria) or "-"),
            Cell(
                f"{time_text(rollout.changes[0].at_ms, zone)} {rollout.changes[0].reason}" if rollout.changes else "-"
            ),
        ]
        for rollout in rollouts
    ]
    invocation.out(*render_table(columns, rows, invocation.style, invocation.width))
