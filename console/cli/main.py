"""The command line: which commands there are. A command's own module is loaded only when it is asked for."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from console import __version__
from console.cli.exit_codes import ExitCode, command_error
from console.cli.invocation import Invocation, shared_options
from console.domain.text import sanitize

PROGRAM = "nightdesk"

COMMANDS = {
    "console": "console",
    "demo": "demo",
    "init": "setup",
    "run": "run",
    "serve": "serve",
    "ps": "ps",
    "history": "history",
    "show": "show",
    "log": "log",
    "usage": "usage",
    "cancel": "stop",
    "pause": "stop",
    "resume": "stop",
    "approve": "decide",
    "decline": "decide",
    "stage": "stage",
    "caps": "caps",
    "settle": "settle",
    "paths": "setup",
    "completion": "setup",
    "drill": "drill",
    "doctor": "doctor",
    "guard": "guard",
}
"""Every command and the module of `console.cli.commands` that holds it, in the order of the help page."""


class OutputClosed(Exception):
    """Whoever read our output went away. No OSError: click would end the process by itself, as if a run had failed."""


class LazyGroup(click.Group):
    """Finds commands by name without importing the others."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OutputClosed from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = getattr(importlib.import_module(f"console.cli.commands.{module}"), f"{cmd_name}_command")
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"No such command {sanitize(args[0], limit=60)!r}.{hint}", ctx) from error


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
@click.option("--read-only", is_flag=True, help="Console: never schedule, take over or write.")
@click.option("--slow", is_flag=True, help="Console: fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Console: use the mouse over SSH too.")
@shared_options
@click.pass_context
def cli(context: click.Context, read_only: bool, slow: bool, mouse: bool) -> object:
    """Operations console for unattended managed agents.

    Without a command it opens the console.
    """
    if context.invoked_subcommand is not None:
        if read_only or slow or mouse:
            raise click.UsageError("--read-only, --slow and --mouse belong to the console")
        return None
    from console.cli.commands.console import console_command

    return context.invoke(console_command, read_only=read_only, slow=slow, mouse=mouse)


def entry(arguments: Sequence[str]) -> int:
    """Runs one command line of this process; the exit code. Never raises."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without Unicode gets escapes; a command never fails for a letter.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    shell = Invocation(
        environment=os.environ, stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr, working=_working_folder()
    )
    try:
        return run(arguments, shell)
    except (BrokenPipeError, OutputClosed):
        # What is still buffered must not fail once more when the interpreter closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE


def run(arguments: Sequence[str], shell: Invocation) -> int:
    """Runs one command line on any streams; the exit code. Raises BrokenPipeError or ReaderLeft: stdout is gone."""
    try:
        code = cli.main(list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=shell)
        shell.stdout.flush()
    except click.ClickException as error:
        error.show(shell.stderr)
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, OutputClosed):
        raise
    except Exception as error:
        failure = command_error(error)
        shell.say(*(f"{PROGRAM}: {line}" for line in str(failure).splitlines()))
        return failure.code
    return int(code) if isinstance(code, int) else ExitCode.OK


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        # Somebody removed the folder we stand in; absolute paths still work.
        return Path("/")
