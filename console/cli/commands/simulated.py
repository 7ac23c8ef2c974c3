"""`demo` and `simulator`: the commands that start the embedded simulator for a person."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click

from console import __version__
from console.app import App
from console.cli.arguments import themes
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.ps_output import print_snapshot
from console.cli.screen import ScreenOptions, exit_code_of_screen, run_screen
from console.demo.runner import running_demo
from console.domain.text import sanitize
from console.engine.acting_user import user_name
from console.program import shell_command
from console.simulated import SIMULATED
from console.simulator.__main__ import main as simulator_main
from console.store.fleet_settings import missing_driver
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
@click.option("--fleet", is_flag=True, help="Three hosts that share a PostgreSQL database, and a console over them.")
@json_option
@pass_invocation
def demo_command(invocation: Invocation, slow: bool, mouse: bool, theme: str | None, face: str, fleet: bool) -> int:
    """Open the console on a built-in simulator, with sample tasks and history.

    Needs no API key and no config; its state folder is deleted at the end. Within a minute the time limit cuts off one
    run and the budget another.
    """
    if fleet and face != "gemini":
        raise click.UsageError("--fleet has a simulated service of kind gemini; leave --face out")
    options = ScreenOptions(theme=theme, slow=slow, mouse=True if mouse else None)
    return asyncio.run(_fleet_demo(invocation, options) if fleet else _demo(invocation, options, face))


async def _fleet_demo(invocation: Invocation, options: ScreenOptions) -> int:
    if (trouble := missing_driver()) is not None:
        raise CommandError(ExitCode.REFUSED, trouble)
    from console.demo.fleet import running_fleet

    invocation.say("starting a database and three hosts...")
    try:
        async with running_fleet() as demo:
            named = ", ".join(f"{host} (pid {pid})" for host, pid in demo.pids)
            invocation.say(f"hosts: {named}", "kill -9 one of them: within 25 s another process supervises its run")
            return await _shown(invocation, demo.app, demo.options, options, "fleet demo", in_fleet=True)
    except RuntimeError as error:
        raise CommandError(ExitCode.REFUSED, sanitize(str(error), limit=300)) from None


async def _demo(invocation: Invocation, options: ScreenOptions, face: str) -> int:
    why = why_no_screen(invocation.environment, invocation.stdin, invocation.stdout)
    if why is None:
        invocation.say("making a month of history...")
    async with running_demo(invocation.by, face) as demo:
        if why is not None:
            await asyncio.sleep(SAMPLE_S)
        return await _shown(invocation, demo.app, demo.options, options, "demo")


async def _shown(
    invocation: Invocation,
    app: App,
    reached_by: tuple[str, ...],
    options: ScreenOptions,
    name: str,
    *,
    in_fleet: bool = False,
) -> int:
    """Show the console of a demo or, without a terminal, print its runs."""
    if (why := why_no_screen(invocation.environment, invocation.stdin, invocation.stdout)) is not None:
        invocation.say(why)
        print_snapshot(invocation, await app.engine.queries.snapshot())
        return ExitCode.OK
    session = SessionInfo(user=user_name(), is_demo=True, in_fleet=in_fleet, name=name, version=__version__)
    command = (*shell_command(invocation.environment), *reached_by)
    result = await run_screen(app, replace(options, command=command, session=session))
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
