"""`demo` and `simulator`: the commands that start the embedded simulator for a person."""

from __future__ import annotations

import asyncio

import click

from console import __version__
from console.cli.arguments import themes
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.ps_output import print_snapshot
from console.cli.screen import ScreenOptions, exit_code_of_screen, run_screen
from console.demo.runner import running_demo
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
@click.option(
    "--face", type=click.Choice(tuple(SIMULATED)), default="gemini", help="The kind of service. Default: gemini."
)
@json_option
@pass_invocation
def demo_command(invocation: Invocation, slow: bool, mouse: bool, theme: str | None, face: str) -> int:
    """Open the console on a built-in simulator, with sample tasks and history.

    Needs no API key and no config; its state folder is deleted at the end. Within a minute the time limit cuts off one
    run and the budget another.
    """
    return asyncio.run(_demo(invocation, slow=slow, mouse=mouse, theme=theme, face=face))


async def _demo(invocation: Invocation, *, slow: bool, mouse: bool, theme: str | None, face: str) -> int:
    why = why_no_screen(invocation.environment, invocation.stdin, invocation.stdout)
    if why is None:
        invocation.say("making a month of history...")
    async with running_demo(invocation.by, face) as demo:
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


@click.command("simulator", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@pass_invocation
def simulator_command(invocation: Invocation, words: tuple[str, ...]) -> int:
    """Run the simulated service alone, to try a config of your own against it. --help shows its options."""
    return simulator_main(words)
