"""The command line: which commands there are. A command's own module is loaded only when it is asked for."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from console import __version__
from console.cli.examples import with_examples
from console.cli.exit_codes import ExitCode, command_error
from console.cli.invocation import Invocation, read_only_option, refuse_if_locked, shared_options
from console.cli.streams import BackgroundWriter, DataOutput, OutputClosed
from console.domain.text import sanitize
from console.program import own_command

PROGRAM = "nightdesk"
DRAIN_S = 5.0
"""How long a process that has done its work waits for a terminal that takes no output."""


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """Where a command is, and its line on the help page, so that the page loads no command."""

    module: str
    """A module of `console.cli.commands`."""
    summary: str
    hidden: bool = False


COMMANDS = {
    "console": CommandEntry("console", "Open the console: watch and cancel runs, promote tasks, read usage."),
    "demo": CommandEntry("simulated", "Open the console on a built-in simulator, with sample tasks and history."),
    "init": CommandEntry("setup", "Write a commented nightdesk.toml."),
    "run": CommandEntry("run", "Launch TASK and supervise it until it ends."),
    "serve": CommandEntry("serve", "Schedule and supervise without a screen, until SIGTERM."),
    "ps": CommandEntry("ps", "List live runs, proposals and unconfirmed runs."),
    "status": CommandEntry("status", "Say whether anything needs a person: pauses, caps, scheduler, trouble."),
    "next": CommandEntry("next", "List the coming scheduled times and what each will do."),
    "history": CommandEntry("history", "List every run, skip and refusal, newest first."),
    "audit": CommandEntry("audit", "List what people did, newest first: who, from where, when and why."),
    "show": CommandEntry("show", "Show one RUN in full, with its timeline."),
    "diff": CommandEntry("diff", "Show what differs between two RUNs."),
    "watch": CommandEntry("watch", "Print one line for each change, for screen readers and pipes."),
    "log": CommandEntry("log", "Print runs.log: one line per launch, ending, skip, refusal and note."),
    "usage": CommandEntry("usage", "Show what was used, by day."),
    "report": CommandEntry("report", "Print a day, a week or a month on one page: runs, cost, the guards."),
    "cancel": CommandEntry("stop", "Stop runs and wait for proof that they ended."),
    "pause": CommandEntry("stop", "Block every launch until `resume`."),
    "resume": CommandEntry("stop", "Allow launches again."),
    "approve": CommandEntry("decide", "Approve a proposed RUN."),
    "decline": CommandEntry("decide", "Decline a proposed RUN."),
    "stage": CommandEntry("stage", "Show the stage of every task or of TASK, or move TASK one stage."),
    "context": CommandEntry("contexts", "List the named contexts: configs that --context names."),
    "caps": CommandEntry("caps", "Show how full the caps are and when they free."),
    "import": CommandEntry("importing", "Print the jobs of a crontab as tasks."),
    "metrics": CommandEntry("metrics", "Print metrics for Prometheus, or write them into a file."),
    "notify": CommandEntry("notify", "Show who is told what while nobody is at the console, or try it."),
    "settle": CommandEntry("decide", "Resolve an unconfirmed RUN, or one still stopping after its alarm."),
    "paths": CommandEntry("setup", "Print where the config, the state folder and its files are."),
    "schema": CommandEntry("schema", "Print the JSON Schema of what a command prints with --json."),
    "completion": CommandEntry("setup", "Print the completion script for bash, zsh or fish."),
    "man": CommandEntry("man", "Print the manual page; `nightdesk man | man -l -` shows it."),
    "drill": CommandEntry("drill", "Prove each guard against the built-in simulator, or with --live the service."),
    "rehearse": CommandEntry("rehearse", "Show what each guard would do for your own tasks, against the simulator."),
    "simulator": CommandEntry("simulated", "Run the simulated service alone, to try a config of your own against it."),
    "service": CommandEntry("service", "Run `serve` as a service of your systemd: install, status, remove."),
    "backup": CommandEntry("backup", "Copy the state folder to a new folder, while processes use it."),
    "restore": CommandEntry("backup", "Put a backup back; nothing is launched until `doctor --reconcile`."),
    "store": CommandEntry("store", "Show where the runs are recorded, or set up a database that several hosts share."),
    "doctor": CommandEntry("doctor", "Report what would stop a launch, before one is tried."),
    "guard": CommandEntry("guard", "Guard the runs that other processes left, until there are none.", hidden=True),
}
"""Every command, in the order of the help page."""


WRITING_COMMANDS = frozenset(
    {"run", "serve", "cancel", "pause", "resume", "approve", "decline", "settle", "guard", "backup", "restore"}
)
"""Commands that do nothing but change something; a locked session has none of them."""

OTHER_NAMES = {
    "kill": "cancel RUN, or pause --cancel to stop everything",
    "stop": "cancel RUN, or pause --cancel to stop everything",
    "state": "status",
    "list": "ps",
    "ls": "ps",
    "top": "console",
    "logs": "log",
    "start": "run TASK",
    "launch": "run TASK",
}
"""Words that people try for a command, with what does what they want."""


def _hint(word: str) -> str:
    if word in OTHER_NAMES:
        return f" Try: {PROGRAM} {OTHER_NAMES[word]}"
    visible = [name for name, entry in COMMANDS.items() if not entry.hidden]
    near = difflib.get_close_matches(word, visible, n=1)
    return f" Did you mean {near[0]}?" if near else ""


class LazyGroup(click.Group):
    """Imports the module of a command only when that command is invoked; help and completion read `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"console.cli.commands.{entry.module}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return with_examples(command, cmd_name, PROGRAM)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items() if not entry.hidden])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete) and not entry.hidden
        ]
        if "help".startswith(incomplete):
            commands.append(CompletionItem("help", help="Show the options of a command."))
        # Past click.Group, which imports every command for its help text.
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "help":
            # `help run` is `run --help`, and `help` alone the page of all commands.
            if ctx.resilient_parsing:
                # A shell completes the command behind it: what completes behind `nightdesk` itself.
                return None, None, []
            if len(args) == 1:
                ctx.ensure_object(Invocation).out(ctx.get_help())
                ctx.exit()
            args = [args[1], "--help"]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = _hint(args[0])
            raise click.UsageError(f"No such command {sanitize(args[0], limit=60)!r}.{hint}", ctx) from error


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
@read_only_option("Console: never schedule, take over or write; =locked: nothing in it lifts that.")
@click.option("--slow", is_flag=True, help="Console: fewer updates, for slow lines.")
@click.option("--mouse", is_flag=True, help="Console: use the mouse over SSH as well.")
@shared_options
@click.pass_context
def cli(context: click.Context, read_only: str | None, slow: bool, mouse: bool) -> object:
    """Operations console for unattended managed agents.

    Without a command, opens the console.
    """
    if context.invoked_subcommand is not None:
        if context.invoked_subcommand in WRITING_COMMANDS:
            refuse_if_locked(context.ensure_object(Invocation), context.invoked_subcommand)
        if read_only or slow or mouse:
            raise click.UsageError("--read-only, --slow and --mouse belong to the console")
        return None
    command = cli.get_command(context, "console")
    assert command is not None, "it is in COMMANDS"
    return context.invoke(command, read_only=read_only, slow=slow, mouse=mouse)


def entry(arguments: Sequence[str]) -> int:
    """Run one command line on the streams of this process and return its exit code.

    A console that was left for another context is replaced by the console of that one.
    """
    # Help pages are printed by click, which knows no other stream.
    sys.stdout = DataOutput.text(1, sys.stdout.encoding)
    messages = BackgroundWriter(2, sys.stderr.encoding)
    invocation = Invocation(
        environment=os.environ, stdin=sys.stdin, stdout=sys.stdout, stderr=messages, working=_working_folder()
    )
    try:
        code = run(arguments, invocation)
    except OutputClosed:
        code = ExitCode.PIPE
    messages.drain(DRAIN_S)
    _discard_unwritten()
    if code == ExitCode.OK and invocation.next_command is not None:
        command = own_command(*invocation.next_command)
        os.execv(command[0], command)
    return code


def _discard_unwritten() -> None:
    """Keep the interpreter from failing, with exit code 120, at messages of its own that cannot be written."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def run(arguments: Sequence[str], invocation: Invocation) -> int:
    """Run one command line on any streams and return its exit code. Raises OutputClosed."""
    try:
        code = cli.main(list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=invocation)
        invocation.flush()
    except click.ClickException as error:
        if invocation.json:
            text = sanitize(error.format_message(), limit=1000)
            invocation.say(json.dumps({"error": text, "exit": int(ExitCode.USAGE)}))
        else:
            invocation.say(*_usage_lines(error))
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except OutputClosed:
        raise
    except Exception as error:
        failure = command_error(error)
        if invocation.json:
            invocation.say(json.dumps({"error": invocation.hinted(str(failure)), "exit": int(failure.code)}))
        else:
            invocation.say(*(f"{PROGRAM}: {line}" for line in str(failure).splitlines()))
        return failure.code
    return int(code) if isinstance(code, int) else ExitCode.OK


def _usage_lines(error: click.ClickException) -> list[str]:
    """Return what click has to say, with every argument that it quotes sanitized."""
    lines = []
    if isinstance(error, click.UsageError) and error.ctx is not None:
        lines = [error.ctx.get_usage(), f"Try '{error.ctx.command_path} --help' for help.", ""]
    text = "\n".join([*lines, f"Error: {error.format_message()}"])
    return sanitize(text, newlines=True).splitlines()


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        # Somebody removed the folder we stand in; absolute paths still work.
        return Path("/")
