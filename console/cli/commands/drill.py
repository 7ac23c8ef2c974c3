"""`drill`: prove that each guard fires, here and now, on this machine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from console.drill.runner import Finding


@click.command("drill")
@json_option
@pass_invocation
def drill_command(shell: Invocation) -> int:
    """Prove each guard against the embedded simulator, in a temporary folder.

    Exit: 0 every guard fired, 1 one did not.
    """
    from console.drill.checks import CHECKS
    from console.drill.runner import drill

    began = time.monotonic()
    findings = asyncio.run(drill(CHECKS, dict(shell.environment)))
    if shell.json:
        shell.out_json([asdict(finding) for finding in findings])
    else:
        _print(shell, findings, time.monotonic() - began)
    return ExitCode.OK if all(finding.passed for finding in findings) else ExitCode.AGENT


def _print(shell: Invocation, findings: tuple[Finding, ...], seconds: float) -> None:
    from console.cli.render.table import Cell, Column, Tone, render_table

    columns = (Column(title="guard"), Column(title="done"), Column(title="seen"), Column(title="result"))
    rows = [
        (
            Cell(finding.guard),
            Cell(finding.done, Tone.FAINT),
            Cell(finding.seen),
            Cell("pass", Tone.GOOD) if finding.passed else Cell("FAIL", Tone.BAD),
        )
        for finding in findings
    ]
    shell.out(*render_table(columns, rows, shell.style, None))
    passed = sum(finding.passed for finding in findings)
    shell.say(f"{passed} of {len(findings)} guards fired, in {seconds:.1f} s")
