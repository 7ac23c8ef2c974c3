"""`doctor`: what would stop a launch, before one is tried. Reads everything and changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from console.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from console.doctor.runner import Finding


@click.command("doctor")
@json_option
@pass_invocation
def doctor_command(shell: Invocation) -> int:
    """What would stop a launch, before one is tried. Changes nothing.

    Exit: 0 nothing does, 8 the state store would, 2 the config or the API key would.
    """
    from console.doctor.environment_checks import AROUND_CHECKS
    from console.doctor.run_checks import WORK_CHECKS
    from console.doctor.runner import Case, examined, exit_of
    from console.doctor.store_checks import STORE_CHECKS
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


def _line(finding: Finding, shell: Invocation) -> str:
    from console.cli.render.table import Tone
    from console.doctor.runner import Level

    tones = {Level.OK: Tone.GOOD, Level.WARN: Tone.WATCH, Level.FAIL: Tone.BAD}
    level = shell.style.paint(f"{finding.level.value:<4}", tones[finding.level])
    return f"{level}  {finding.check:<10}  {finding.told}"
