"""`rehearse`: what each guard would do for the tasks of one's own config, without a key and without a network."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

import click

from console.cli.arguments import check_task, task_names
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.render.findings import print_findings
from console.domain.formatting import counted
from console.domain.text import sanitize
from console.drill.rehearsal import CHECKS, Rehearsal, Rehearsed, rehearse


@click.command("rehearse")
@click.argument("task", required=False, shell_complete=task_names)
@json_option
@pass_invocation
def rehearse_command(invocation: Invocation, task: str | None) -> int:
    """Show what each guard would do for your own tasks, against the simulator.

    For TASK, or for every task of the config.

    An agent of the built-in simulator runs away under the limits, caps and settings of the config. Needs no API key and
    no network; the state folder is not touched. Long time limits are scaled down, and the table says by how much.

    Exit: 0 every guard fired, 1 one did not, or a task can never be launched.
    """
    settings = invocation.settings()
    tasks = (check_task(settings, task),) if task is not None else settings.tasks
    if not tasks:
        raise CommandError(ExitCode.USAGE, "the config has no tasks to rehearse; accepted: at least one [[tasks]]")
    began = time.monotonic()
    if not invocation.json:
        invocation.say(f"{len(tasks) * len(CHECKS)} checks on a simulated service, nothing leaves this machine")

    def report(finding: Rehearsed) -> None:
        if not invocation.json and invocation.stdout.isatty():
            invocation.say(f"{'pass' if finding.passed else 'FAIL'}  {sanitize(finding.task)}: {finding.guard}")

    rehearsal = asyncio.run(rehearse(settings, tasks, on_finding=report))
    if invocation.json:
        invocation.out_json({"passed": rehearsal.passed, **asdict(rehearsal)})
    else:
        _print(invocation, rehearsal, time.monotonic() - began)
    return ExitCode.OK if rehearsal.passed else ExitCode.AGENT


def _print(invocation: Invocation, rehearsal: Rehearsal, seconds: float) -> None:
    rows = ((finding.task, finding.config, finding) for finding in rehearsal.findings)
    passed, tried = print_findings(invocation, "task", "config", rows)
    invocation.say(*(sanitize(note, limit=300) for note in rehearsal.notes))
    invocation.say(f"{passed} of {counted(tried, 'check')} passed, in {seconds:.1f} s")
