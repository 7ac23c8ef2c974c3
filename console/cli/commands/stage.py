"""`stage`: how far each task has come on the way to running alone, and the one rung up or down."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from console.cli.arguments import task_names
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.domain.task import Stage

if TYPE_CHECKING:
    from console.engine.models import StageChange, TaskRollout


@click.command("stage")
@click.argument("task", required=False, shell_complete=task_names)
@click.argument("to", required=False, type=click.Choice([stage.label for stage in Stage]))
@click.option("--reason", metavar="R", default="", help="Why, for the record; needed downwards and with --force.")
@click.option("--force", is_flag=True, help="Go up without the evidence; never more than one rung.")
@json_option
@pass_invocation
def stage_command(shell: Invocation, task: str | None, to: str | None, reason: str, force: bool) -> int:
    """Show the stage of every task, or of TASK, or move TASK one rung.

    Up needs the evidence that [rollout] asks for, or --force with a --reason; down needs a --reason. A step that is
    not earned is refused: exit 6.
    """
    if to is None and (reason or force):
        raise click.UsageError("--reason and --force go with a stage to move to")
    return asyncio.run(_stage(shell, task, Stage.of(to) if to else None, reason, force))


async def _stage(shell: Invocation, task: str | None, to: Stage | None, reason: str, force: bool) -> int:
    from console.cli.opening import opened

    async with opened(shell) as house:
        rollout = house.engine.rollout
        if task is not None and to is not None:
            rungs: tuple[TaskRollout, ...] = (await rollout.move(task, to, by=shell.by, reason=reason, forced=force),)
            shell.say(f"{rungs[0].task.name} is at {rungs[0].stage.label}")
        else:
            rungs = await rollout.tasks() if task is None else (await rollout.task(task),)
    if shell.json:
        shell.out_json([rung_json(rung) for rung in rungs])
    elif to is None:
        _print(shell, rungs)
    return ExitCode.OK


def rung_json(rung: TaskRollout) -> dict[str, object]:
    """One task's rung, with what it rests on."""
    from console.cli.render.run_json import instant
    from console.domain.timestamps import iso_ms

    evidence = asdict(rung.evidence)
    evidence["since"] = instant(evidence.pop("since_ms"))
    for name in ("p95_units", "budget"):
        evidence[name] = None if evidence[name] is None else evidence[name] / 1000
    for name, seconds in (("p95_ms", "p95_seconds"), ("max_ms", "max_seconds")):
        value = evidence.pop(name)
        evidence[seconds] = None if value is None else value / 1000
    return {
        "task": rung.task.name,
        "stage": rung.stage.label,
        "effective_stage": rung.effective.label,
        "evidence": evidence,
        "missing": list(rung.unmet_criteria),
        "last_change": _step_json(rung.steps[0]) if rung.steps else None,
        "next": [iso_ms(instant.at_ms) for instant in rung.next],
    }


def _step_json(step: StageChange) -> dict[str, object]:
    from console.domain.timestamps import iso_ms

    return {
        "at": iso_ms(step.at_ms),
        "from": step.before.label,
        "to": step.after.label,
        "by": step.by,
        "reason": step.reason,
        "forced": step.forced,
    }


def _print(shell: Invocation, rungs: tuple[TaskRollout, ...]) -> None:
    from console.cli.render.table import Cell, Column, Tone, render_table
    from console.domain.timestamps import iso_ms

    columns = (
        Column(title="TASK", gives=1),
        Column(title="STAGE"),
        Column(title="NOW"),
        Column(title="BY HAND OK", right=True),
        Column(title="APPROVED OK", right=True),
        Column(title="MISSING", gives=3),
        Column(title="LAST CHANGE", gives=2),
    )
    rows = [
        [
            Cell(rung.task.name),
            Cell(rung.stage.label),
            Cell(rung.effective.label, Tone.WATCH if rung.effective is not rung.stage else Tone.PLAIN),
            Cell(str(rung.evidence.manual_ok)),
            Cell(str(rung.evidence.approved_ok)),
            Cell("; ".join(rung.unmet_criteria) or "-"),
            Cell(f"{iso_ms(rung.steps[0].at_ms)[:16]}Z {rung.steps[0].reason}" if rung.steps else "-"),
        ]
        for rung in rungs
    ]
    shell.out(*render_table(columns, rows, shell.style, shell.width))
