"""`drill`: prove that each guard fires, here and now, on this machine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, with_json

if TYPE_CHECKING:
    from console.cli.drill import Finding


@click.command("drill")
@with_json
@pass_shell
def drill_command(shell: Shell) -> int:
    """Prove each guard against the embedded simulator, in a temporary folder.

    Exit: 0 every guard fired, 1 one did not.
    """
    from console.cli.drill import drill
    from console.cli.drill_checks import CHECKS

    began = time.monotonic()
    findings = asyncio.run(drill(CHECKS, dict(shell.environment)))
    if shell.json:
        shell.out_json([asdict(finding) for finding in findings])
    else:
        _print(shell, findings, time.monotonic() - began)
    return Exit.OK if all(finding.passed for finding in findings) else Exit.AGENT


def _print(shell: Shell, findings: tuple[Finding, ...], seconds: float) -> None:
    from console.cli.style import Tone
    from console.cli.table import Cell, Column, laid_out

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
    shell.out(*laid_out(columns, rows, shell.style, None))
    passed = sum(finding.passed for finding in findings)
    shell.say(f"{passed} of {len(findings)} guards fired, in {seconds:.1f} s")
