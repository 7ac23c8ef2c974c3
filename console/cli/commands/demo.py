"""`demo`: the console on the embedded simulator. No key, no config, nothing kept."""

from __future__ import annotations

import asyncio

import click

from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, with_json

BEGIN_SECONDS = 1.5
"""Without a screen: so long until the samples are looked at once."""


@click.command("demo")
@click.option("--slow", is_flag=True, help="Fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Use the mouse over SSH too.")
@click.option("--theme", metavar="NAME", help="A theme of the package, or of the config folder.")
@with_json
@pass_shell
def demo_command(shell: Shell, slow: bool, mouse: bool, theme: str | None) -> int:
    """The console on the simulator, with sample tasks and a week of history.

    Needs no key and no config; its state folder goes away with it. Within a minute the clock cuts one run off and
    the budget another.
    """
    return asyncio.run(_demo(shell, slow=slow, mouse=mouse, theme=theme))


async def _demo(shell: Shell, *, slow: bool, mouse: bool, theme: str | None) -> int:
    from console.cli.commands.ps import print_snapshot
    from console.cli.demo import running_demo
    from console.ui.terminal import why_no_screen

    why = why_no_screen(shell.environment, shell.stdin, shell.stdout)
    if why is None:
        shell.say("making a week of history...")
    async with running_demo(shell.by) as demo:
        if why is not None:
            shell.say(why)
            await asyncio.sleep(BEGIN_SECONDS)
            print_snapshot(shell, await demo.house.engine.view.snapshot())
            return Exit.OK
        from console.cli.program import program
        from console.cli.screen import Looks, exit_of_farewell, shown

        command = (*program(shell.environment), *demo.options)
        farewell = await shown(
            demo.house, Looks(theme=theme, slow=slow, mouse=True if mouse else None, command=command)
        )
    if farewell.message:
        shell.say(*farewell.message.splitlines())
    return exit_of_farewell(farewell)
