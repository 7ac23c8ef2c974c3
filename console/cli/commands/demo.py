"""`demo`: the console on the embedded simulator. No key, no config, nothing kept."""

from __future__ import annotations

import asyncio

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation

BEGIN_SECONDS = 1.5
"""Without a screen: so long until the samples are looked at once."""


@click.command("demo")
@click.option("--slow", is_flag=True, help="Fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Use the mouse over SSH too.")
@click.option("--theme", metavar="NAME", help="A theme of the package, or of the config folder.")
@json_option
@pass_invocation
def demo_command(shell: Invocation, slow: bool, mouse: bool, theme: str | None) -> int:
    """The console on the simulator, with sample tasks and a week of history.

    Needs no key and no config; its state folder goes away with it. Within a minute the clock cuts one run off and
    the budget another.
    """
    return asyncio.run(_demo(shell, slow=slow, mouse=mouse, theme=theme))


async def _demo(shell: Invocation, *, slow: bool, mouse: bool, theme: str | None) -> int:
    from console.cli.commands.ps import print_snapshot
    from console.demo.runner import running_demo
    from console.ui.terminal.capabilities import why_no_screen

    why = why_no_screen(shell.environment, shell.stdin, shell.stdout)
    if why is None:
        shell.say("making a week of history...")
    async with running_demo(shell.by) as demo:
        if why is not None:
            shell.say(why)
            await asyncio.sleep(BEGIN_SECONDS)
            print_snapshot(shell, await demo.house.engine.queries.snapshot())
            return ExitCode.OK
        from console.cli.screen import ScreenOptions, exit_code_of_screen, run_screen
        from console.program import program

        command = (*program(shell.environment), *demo.options)
        farewell = await run_screen(
            demo.house, ScreenOptions(theme=theme, slow=slow, mouse=True if mouse else None, command=command)
        )
    if farewell.message:
        shell.say(*farewell.message.splitlines())
    return exit_code_of_screen(farewell)
