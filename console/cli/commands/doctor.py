"""`doctor`: what would stop a launch, before one is tried. Reads everything and changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from console.cli.shell import Shell, pass_shell, with_json

if TYPE_CHECKING:
    from console.cli.examining import Finding


@click.command("doctor")
@with_json
@pass_shell
def doctor_command(shell: Shell) -> int:
    """What would stop a launch, before one is tried. Changes nothing.

    Exit: 0 nothing does, 8 the state store would, 2 the config or the API key would.
    """
    from console.cli.examine_around import AROUND_CHECKS
    from console.cli.examine_store import STORE_CHECKS
    from console.cli.examine_work import WORK_CHECKS
    from console.cli.examining import Case, examined, exit_of
    from console.engine.clock import SystemClock

    case = Case(shell=shell, folder=shell.folder, now=SystemClock().now())
    findings = []
    for finding in examined(case, (*STORE_CHECKS, *WORK_CHECKS, *AROUND_CHECKS)):
        findings.append(finding)
        if not shell.json:
            shell.out(_line(finding, shell))
    if shell.json:
        shell.out_json([asdict(finding) for finding in findings])
    return exit_of(findings)


def _line(finding: Finding, shell: Shell) -> str:
    from console.cli.examining import Level
    from console.cli.style import Tone

    tones = {Level.OK: Tone.GOOD, Level.WARN: Tone.WATCH, Level.FAIL: Tone.BAD}
    level = shell.style.paint(f"{finding.level.value:<4}", tones[finding.level])
    return f"{level}  {finding.check:<10}  {finding.told}"
