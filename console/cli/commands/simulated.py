"""`demo`, `drill` and `simulator`: the commands that run on the embedded simulator instead of a service."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

import click

from console import __version__
from console.cli.arguments import themes
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.live_table import print_snapshot
from console.cli.render.table import Cell, Column, Tone, render_table
from console.cli.screen import ScreenOptions, exit_code_of_screen, run_screen
from console.demo.runner import running_demo
from console.domain.formatting import counted
from console.drill.checks import CHECKS
from console.drill.runner import Finding, drill
from console.engine.acting_user import user_name
from console.program import shell_command
from console.simulated import SIMULATED
from console.simulator.__main__ import main as simulator_main
from console.ui.context import SessionInfo
from console.ui.terminal.capabilities import why_no_screen

SAMPLE_S = 1.5
"""Without a screen: how long the sample runs go on before they are printed."""


@click.command("demo")
@click.option("--slow", is_flag=True, help="Fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Use the mouse over SSH as well.")
@click.option("--theme", metavar="NAME", shell_complete=themes, help="A built-in theme, or one in the config folder.")
@json_option
@pass_invocation
def demo_command(invocation: Invocation, slow: bool, mouse: bool, theme: str | None) -> int:
    """Open the console on a built-in simulator, with sample tasks and history.

    Needs no API key and no config; its state folder is deleted at the end. Within a minute the time limit cuts off one
    run and the budget another.
    """
    return asyncio.run(_demo(invocation, slow=slow, mouse=mouse, theme=theme))


async def _demo(invocation: Invocation, *, slow: bool, mouse: bool, theme: str | None) -> int:
    why = why_no_screen(invocation.environment, invocation.stdin, invocation.stdout)
    if why is None:
        invocation.say("making a week of history...")
    async with running_demo(invocation.by) as demo:
        if why is not None:
            invocation.say(why)
            await asyncio.sleep(SAMPLE_S)
            print_snapshot(invocation, await demo.app.engine.queries.snapshot())
            return ExitCode.OK

        command = (*shell_command(invocation.environment), *demo.options)
        result = await run_screen(
            demo.app,
            ScreenOptions(
                theme=theme,
                slow=slow,
                mouse=True if mouse else None,
                command=command,
                session=SessionInfo(user=user_name(), is_demo=True, name="demo", version=__version__),
            ),
        )
    if result.message:
        invocation.say(*result.message.splitlines())
    invocation.say("The demo is gone, with everything in it. `nightdesk init` writes a config for runs of your own.")
    return exit_code_of_screen(result)


@click.command("drill")
@json_option
@pass_invocation
def drill_command(invocation: Invocation) -> int:
    """Prove each guard against the built-in simulator, in a temporary folder.

    Exit: 0 every guard fired, 1 one did not.
    """
    began = time.monotonic()
    if not invocation.json:
        services = counted(len(SIMULATED), "simulated service")
        invocation.say(f"{len(CHECKS)} checks on each of {services}, about {10 * len(SIMULATED)} seconds")

    def report(finding: Finding) -> None:
        if not invocation.json and invocation.stdout.isatty():
            invocation.say(f"{'pass' if finding.passed else 'FAIL'}  {finding.service}: {finding.guard}")

    findings = asyncio.run(drill(CHECKS, dict(invocation.environment), on_finding=report))
    if invocation.json:
        invocation.out_json([asdict(finding) for finding in findings])
    else:
        _print(invocation, findings, time.monotonic() - began)
    return ExitCode.OK if all(finding.passed for finding in findings) else ExitCode.AGENT


def _print(invocation: Invocation, findings: tuple[Finding, ...], seconds: float) -> None:
    columns = (
        Column(title="service"),
        Column(title="guard"),
        Column(title="done"),
        Column(title="seen"),
        Column(title="result"),
    )
    rows = [
        (
            Cell(finding.service),
            Cell(finding.guard),
            Cell(finding.done, Tone.FAINT),
            Cell(finding.seen),
            Cell("pass", Tone.GOOD) if finding.passed else Cell("FAIL", Tone.BAD),
        )
        for finding in findings
    ]
    invocation.out(*render_table(columns, rows, invocation.style, None))
    passed = sum(finding.passed for finding in findings)
    invocation.say(f"{passed} of {len(findings)} guards fired, in {seconds:.1f} s")


@click.command("simulator", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@pass_invocation
def simulator_command(invocation: Invocation, words: tuple[str, ...]) -> int:
    """Run the simulated service alone, to try a config of your own against it. --help shows its options."""
    return simulator_main(words)
