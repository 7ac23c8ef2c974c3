"""`stage`: how far each task has come on the way to running alone, and the one rung up or down."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from console.cli.completing import task_names
from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, with_json
from console.domain.task import Stage

if TYPE_CHECKING:
    from console.engine.snapshot import Rung, StageStep


@click.command("stage")
@click.argument("task", required=False, shell_complete=task_names)
@click.argument("to", required=False, type=click.Choice([stage.word for stage in Stage]))
@click.option("--reason", metavar="R", default="", help="Why, for the record; needed downwards and with --force.")
@click.option("--force", is_flag=True, help="Go up without the evidence; never more than one rung.")
@with_json
@pass_shell
def stage_command(shell: Shell, task: str | None, to: str | None, reason: str, force: bool) -> int:
    """Show the stage of every task, or of TASK, or move TASK one rung.

    Up needs the evidence that [rollout] asks for, or --force with a --reason; down needs a --reason. A step that is
    not earned is refused: exit 6.
    """
    if to is None and (reason or force):
        raise click.UsageError("--reason and --force go with a stage to move to")
    return asyncio.run(_stage(shell, task, Stage.of(to) if to else None, reason, force))


async def _stage(shell: Shell, task: str | None, to: Stage | None, reason: str, force: bool) -> int:
    from console.cli.opening import opened

    async with opened(shell) as house:
        rollout = house.engine.rollout
        if task is not None and to is not None:
            rungs: tuple[Rung, ...] = (await rollout.move(task, to, by=shell.by, reason=reason, forced=force),)
            shell.say(f"{rungs[0].task.name} is at {rungs[0].stage.word}")
        else:
            rungs = await rollout.ladder() if task is None else (await rollout.rung(task),)
    if shell.json:
        shell.out_json([rung_json(rung) for rung in rungs])
    elif to is None:
        _print(shell, rungs)
    return Exit.OK


def rung_json(rung: Rung) -> dict[str, object]:
    """One task's rung, with what it rests on."""
    from console.cli.run_json import instant
    from console.domain.moment import iso_ms

    evidence = asdict(rung.evidence)
    evidence["since"] = instant(evidence.pop("since_ms"))
    for name in ("p95_units", "budget"):
        evidence[name] = None if evidence[name] is None else evidence[name] / 1000
    for name, seconds in (("p95_ms", "p95_seconds"), ("max_ms", "max_seconds")):
        value = evidence.pop(name)
        evidence[seconds] = None if value is None else value / 1000
    return {
        "task": rung.task.name,
        "stage": rung.stage.word,
        "effective_stage": rung.effective.word,
        "evidence": evidence,
        "missing": list(rung.missing),
        "last_change": _step_json(rung.steps[0]) if rung.steps else None,
        "next": [iso_ms(instant.at_ms) for instant in rung.next],
    }


def _step_json(step: StageStep) -> dict[str, object]:
    from console.domain.moment import iso_ms

    return {
        "at": iso_ms(step.at_ms),
        "from": step.before.word,
        "to": step.after.word,
        "by": step.by,
        "reason": step.reason,
        "forced": step.forced,
    }


def _print(shell: Shell, rungs: tuple[Rung, ...]) -> None:
    from console.cli.style import Tone
    from console.cli.table import Cell, Column, laid_out
    from console.domain.moment import iso_ms

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
            Cell(rung.stage.word),
            Cell(rung.effective.word, Tone.WATCH if rung.effective is not rung.stage else Tone.PLAIN),
            Cell(str(rung.evidence.manual_ok)),
            Cell(str(rung.evidence.approved_ok)),
            Cell("; ".join(rung.missing) or "-"),
            Cell(f"{iso_ms(rung.steps[0].at_ms)[:16]}Z {rung.steps[0].reason}" if rung.steps else "-"),
        ]
        for rung in rungs
    ]
    shell.out(*laid_out(columns, rows, shell.style, shell.width))
