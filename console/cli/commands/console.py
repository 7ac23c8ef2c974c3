"""`console`: the screen. `nightdesk` without a command opens it too."""

from __future__ import annotations

import asyncio
from functools import partial

import click

from console import __version__
from console.cli.arguments import themes
from console.cli.config_watch import ConfigWatch
from console.cli.contexts import find_context, known_contexts
from console.cli.exit_codes import CommandError
from console.cli.invocation import LOCKED, Invocation, pass_invocation, read_only_option, shared_options
from console.cli.locations import theme_names
from console.cli.opening import opened
from console.cli.outgoing import host_name
from console.cli.ps_output import print_live
from console.config import ConfigError, Settings, load
from console.domain.text import sanitize
from console.engine.acting_user import user_name
from console.engine.settings import ProcessKind
from console.ui.context import Contexts, SessionInfo
from console.ui.state.preferences import FILE_NAME
from console.ui.terminal.capabilities import why_no_screen


@click.command("console")
@read_only_option("Never schedule, take over or write; =locked: nothing in the console lifts that.")
@click.option("--slow", is_flag=True, help="Fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Use the mouse over SSH as well.")
@click.option("--theme", metavar="NAME", shell_complete=themes, help="A built-in theme, or one in the config folder.")
@shared_options
@pass_invocation
def console_command(
    invocation: Invocation, read_only: str | None, slow: bool, mouse: bool, theme: str | None = None
) -> int:
    """Open the console: watch and cancel runs, promote tasks, read usage.

    Without a terminal that can show it, prints what `nightdesk ps` prints.
    """
    why = why_no_screen(invocation.environment, invocation.stdin, invocation.stdout)
    if why is not None:
        invocation.say(why)
        return print_live(invocation)
    modes = (read_only, invocation.read_only_mode)
    work = _console(
        invocation, read_only=modes != (None, None), locked=LOCKED in modes, slow=slow, mouse=mouse, theme=theme
    )
    return asyncio.run(work)


def _reloaded(invocation: Invocation, settings: Settings) -> None:
    """The settings that are handed to a successor are those in force."""
    invocation.loaded_settings = settings


def _session(invocation: Invocation, settings: Settings) -> SessionInfo:
    """Where this console runs and what it acts on."""
    state, services = invocation.state, settings.providers.values()
    context = invocation.context
    return SessionInfo(
        user=user_name(),
        host=host_name(),
        name=settings.store.name or "",
        context=context.name if context is not None else "",
        folder=sanitize(str(state.path)),
        is_default_folder=state.is_default,
        config=sanitize(str(invocation.config.path)),
        provider=sanitize(", ".join(f"{service.kind} {service.base_url}" for service in services)),
        version=__version__,
        in_fleet=settings.store.fleet is not None,
    )


def _contexts(invocation: Invocation) -> Contexts:
    """The contexts that the console can be left for."""

    def check(name: str) -> None:
        try:
            context = find_context(name)
            load(context.path, theme_names)
            context.state(invocation.environment)
        except (CommandError, ConfigError) as error:
            first, *_ = sanitize(str(error), newlines=True).splitlines()
            raise ValueError(f"the console of {name} would not open: {first}") from None

    return Contexts(files={found.name: sanitize(str(found.path)) for found in known_contexts()}, check=check)


async def _console(
    invocation: Invocation, *, read_only: bool, locked: bool, slow: bool, mouse: bool, theme: str | None
) -> int:
    from console.cli.screen import ScreenOptions, run_console_command

    settings = invocation.settings()
    wished = settings.console
    options = ScreenOptions(
        theme=theme or wished.theme,
        slow=slow or wished.slow,
        mouse=True if mouse else wished.mouse,
        bell=wished.bell,
        keys=wished.keys,
        command=invocation.again,
        session=_session(invocation, settings),
        # A locked session sees what it was opened for, and no other ledger.
        contexts=Contexts() if locked else _contexts(invocation),
        given=(
            *(("--slow",) if slow else ()),
            *(("--mouse",) if mouse else ()),
            *(("--theme", theme) if theme else ()),
        ),
        preferences=invocation.folder / FILE_NAME,
        liftable=not locked,
    )
    was_read_only = read_only
    while True:
        async with opened(invocation, ProcessKind.CONSOLE, settings=settings, read_only=read_only) as app:
            if was_read_only and not read_only:
                await app.engine.operations.record_read_only_lifted(by=invocation.by)
            if not read_only:
                ConfigWatch(app.engine, invocation.config.path, settings, partial(_reloaded, invocation)).start()
            code = await run_console_command(invocation, app, options)
        if code is not None:
            return code
        read_only = False
