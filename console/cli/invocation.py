"""One command line: its flags, environment and streams. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click
from click.shell_completion import CompletionItem

from console.cli.contexts import CONTEXT_FLAG, NamedContext, chosen_context, known_contexts
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.known_folders import DATABASE
from console.cli.locations import (
    STATE_VARIABLE,
    Location,
    config_file,
    configured_state_folder,
    state_folder,
    theme_names,
)
from console.cli.render.table import Style
from console.cli.streams import MessageStream
from console.domain.text import sanitize
from console.engine.acting_user import acting_user
from console.program import NAME, shell_command

if TYPE_CHECKING:
    from console.app import ProviderFactory
    from console.config import Settings
    from console.store.fleet_settings import FleetSettings

F = TypeVar("F", bound=Callable[..., Any])

ADVISED = re.compile(rf"(?<=`){NAME}(?=`| [a-z])|(?<=: ){NAME}(?= [a-z])")
"""The name of the program where a message advises a command."""
COLOR_CHOICES = ("auto", "always", "never")


class Invocation:
    """One command line with its environment and its streams: stdout for data, stderr for messages to the person."""

    def __init__(
        self, *, environment: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: MessageStream, working: Path
    ) -> None:
        self.environment = environment
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.working = working
        self.config_flag: str | None = None
        self.state_flag: str | None = None
        self.context_flag: str | None = None
        self.next_command: tuple[str, ...] | None = None
        """The words of the command that replaces this process once it is done; None for none."""
        self.color = "auto"
        self.json = False
        self.loaded_settings: Settings | None = None
        """The config as this process read it or was given it; None before."""
        self.handed_keys: Mapping[str, str] = {}
        """The API keys, by name of the provider, that another process handed over."""
        self.provider_factory: ProviderFactory | None = None
        """Of the app that was opened last; it knows the key that was read."""

    def say(self, *lines: str) -> None:
        """Write messages, already sanitized, to stderr, with `hinted`. A message that cannot be written is dropped."""
        with suppress(OSError):
            self.stderr.write("".join(f"{self.hinted(line)}\n" for line in lines))

    def hinted(self, text: str) -> str:
        """The text with the flags of this command line in each command that it advises, so that it runs as printed.

        Advised is what stands in backquotes or at the end of a sentence, behind a colon.
        """
        if not (self.config_flag or self.context_flag or self.state_flag) or not ADVISED.search(text):
            return text
        flags = ""
        with suppress(CommandError):  # of flags that contradict each other, for one
            flags = sanitize(shlex.join(self._flags))
        return ADVISED.sub(lambda found: f"{found[0]} {flags}", text) if flags else text

    def out(self, *lines: str) -> None:
        """Write lines of data, already sanitized, to stdout. Raises OutputClosed."""
        self.write("".join(f"{line}\n" for line in lines))
        self.flush()

    def write(self, text: str) -> None:
        """Write data, already sanitized, to stdout, where it may be buffered. Raises OutputClosed."""
        self.stdout.write(text)

    def flush(self) -> None:
        """Write what is buffered for stdout, after the messages before it. Raises OutputClosed."""
        with suppress(OSError):
            self.stderr.flush()
        self.stdout.flush()

    def out_json(self, value: object) -> None:
        """Write one object or array. ASCII only, so that no text in it acts on a terminal. Raises OutputClosed."""
        self.out(json.dumps(value, ensure_ascii=True, indent=2, allow_nan=False))

    @contextmanager
    def out_json_array(self) -> Iterator[Callable[[object], None]]:
        """Write one array: the function that this yields writes one element. Raises OutputClosed."""
        before = "[\n"

        def add(element: object) -> None:
            nonlocal before
            self.write(before + json.dumps(element, ensure_ascii=True, allow_nan=False))
            before = ",\n"

        yield add
        self.write("\n]\n" if before.startswith(",") else "[]\n")
        self.flush()

    def out_json_line(self, value: object) -> None:
        """Write one object on one line. Raises OutputClosed."""
        self.out(json.dumps(value, ensure_ascii=True, allow_nan=False))

    @property
    def style(self) -> Style:
        """Colour for stdout."""
        return Style.choose(self.color, self.stdout, self.environment)

    @property
    def width(self) -> int | None:
        """Cells of the terminal on stdout; None if it is piped, and then nothing is cut."""
        return shutil.get_terminal_size((80, 24)).columns if self.stdout.isatty() else None

    @property
    def by(self) -> str:
        """The user of this process and whether a person is at a terminal, as recorded with every action."""
        return acting_user(self.environment, has_terminal=self.stdin.isatty())

    @property
    def read_only_mode(self) -> str | None:
        """What the environment says: `liftable`, `locked` or None. Raises CommandError for another word."""
        word = self.environment.get(READ_ONLY_VARIABLE, "")
        if word not in ("", LIFTABLE, LOCKED):
            shown = sanitize(word, limit=40)
            raise CommandError(ExitCode.USAGE, f"{READ_ONLY_VARIABLE}={shown!r}; accepted: {LIFTABLE}, {LOCKED}")
        return word or None

    @property
    def is_locked(self) -> bool:
        """True in a session in which nothing may be changed. Raises CommandError."""
        return self.read_only_mode == LOCKED

    @property
    def context(self) -> NamedContext | None:
        """The named context that was chosen; None for none. Raises CommandError."""
        return chosen_context(
            self.context_flag, self.environment, config_flag=self.config_flag, state_flag=self.state_flag
        )

    @property
    def config(self) -> Location:
        """The config file. Raises CommandError."""
        if (context := self.context) is not None:
            return context.config
        return config_file(self.config_flag, self.environment, self.working)

    @property
    def folder(self) -> Path:
        """The state folder. Raises CommandError."""
        return self.state.path

    @property
    def state(self) -> Location:
        """The state folder and how it was found. Raises CommandError."""
        if (context := self.context) is not None:
            loaded = self.loaded_settings
            return context.state(self.environment, loaded.store.state_dir if loaded is not None else None)
        if self.state_flag or self.environment.get(STATE_VARIABLE):
            configured = None
        elif self.loaded_settings is not None:
            configured = self.loaded_settings.store.state_dir
        else:
            configured = configured_state_folder(self.config.path)
        return state_folder(self.state_flag, self.environment, self.working, configured)

    @property
    def ledger(self) -> str:
        """What tells this state folder from others: its context, its name, and its path where it is not the default.

        Empty for the default folder without a name. Sanitized. Raises CommandError.
        """
        from console.config import ConfigError

        name = None
        with suppress(ConfigError, CommandError):
            name = self.settings().store.name
        found, context = self.state, self.context
        path = None if found.is_default else str(found.path)
        words = (context.name if context is not None else None, name, path)
        return " ".join(sanitize(each, limit=200) for each in dict.fromkeys(words) if each)

    def say_ledger(self) -> None:
        """Name the state folder, unless it is the usual one, to a person who reads stderr on a terminal.

        A program that reads stderr finds only messages about what happened. Raises CommandError.
        """
        if not self.json and self.stderr.isatty() and (ledger := self.ledger):
            self.say(f"state folder: {ledger}")

    @property
    def again(self) -> tuple[str, ...]:
        """The words that reach the same state folder and config from another shell."""
        return (*shell_command(self.environment), *self._flags)

    @property
    def _flags(self) -> tuple[str, ...]:
        """The options that choose the same state folder and config, wherever they are typed."""
        if (context := self.context) is not None:
            return (CONTEXT_FLAG, context.name)
        given = (("--state-dir", self.state_flag), ("--config", self.config_flag))
        return tuple(word for option, value in given if value for word in (option, self._absolute(value)))

    def _absolute(self, path: str) -> str:
        return str(self.working / path)

    def settings(self) -> Settings:
        """Return the config, read once. Raises ConfigError, CommandError."""
        if self.loaded_settings is None:
            self.loaded_settings = self._load()
        return self.loaded_settings

    @property
    def fleet(self) -> FleetSettings | None:
        """The database of several hosts of the config, once that was read; None for SQLite in the state folder."""
        return self.loaded_settings.store.fleet if self.loaded_settings is not None else None

    def settings_if_usable(self) -> Settings | None:
        """Return the config, or None, with a message, if it cannot be used but the state folder holds runs.

        For commands that an emergency needs. Raises ConfigError or CommandError if there is no such folder.
        """
        from console.config import ConfigError

        try:
            return self.settings()
        except (ConfigError, CommandError) as error:
            folder = self.folder
            if not (folder / DATABASE).exists():
                raise
            first, *_ = sanitize(str(error), newlines=True).splitlines()
            self.say(f"{first}; going on without the config, on the state folder {sanitize(str(folder))}")
            return None

    def _load(self) -> Settings:
        # Loading the checks of the config takes longer than `--version` or `paths` takes in all.
        from console.config import load

        found = self.config
        if not found.exists:
            path = sanitize(str(found.path))
            message = f"no config file at {path}; `nightdesk init` writes one, `nightdesk demo` needs none"
            raise CommandError(ExitCode.USAGE, message)
        return load(found.path, theme_names)


def refuse_in_fleet(invocation: Invocation, what: str) -> None:
    """Raise CommandError where the runs are in a database of several hosts, and `what` is for that of a folder."""
    from console.config import ConfigError

    with suppress(ConfigError, CommandError):
        invocation.settings()
    if (fleet := invocation.fleet) is not None:
        place = sanitize(fleet.place, limit=200)
        message = f"{what} is for the database of a state folder; the runs are in the one at {place}: docs/fleet.md"
        raise CommandError(ExitCode.USAGE, message)


def context_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a context."""
    return [
        CompletionItem(found.name, help=sanitize(str(found.path), limit=100))
        for found in known_contexts()
        if found.name.startswith(incomplete)
    ]


def shared_options(command: F) -> F:
    """Add the options that every command and the group before it take; the last one given wins."""
    for option in (
        click.option("--config", metavar="FILE", help="The config file.", **_remembers("config_flag")),
        click.option(
            CONTEXT_FLAG,
            metavar="NAME",
            shell_complete=context_names,
            help="A config by its name, with its state folder.",
            **_remembers("context_flag"),
        ),
        click.option("--state-dir", metavar="DIR", help="The state folder.", **_remembers("state_flag")),
        click.option("--color", type=click.Choice(COLOR_CHOICES), help="Default: auto.", **_remembers("color")),
    ):
        command = option(command)
    return command


READ_ONLY_VARIABLE = "NIGHTDESK_READ_ONLY"
LIFTABLE, LOCKED = "liftable", "locked"


def read_only_option(help_text: str) -> Callable[[F], F]:
    """Return the option `--read-only`, whose value is `liftable` unless it is given as `--read-only=locked`."""
    return click.option(
        "--read-only",
        is_flag=False,
        flag_value=LIFTABLE,
        default=None,
        type=click.Choice((LIFTABLE, LOCKED)),
        metavar="[=locked]",
        help=help_text,
    )


def refuse_if_locked(invocation: Invocation, what: str) -> None:
    """Raise CommandError in a session in which nothing may be changed."""
    if invocation.is_locked:
        raise CommandError(ExitCode.REFUSED, f"{what} is refused: this session is read-only ({READ_ONLY_VARIABLE})")


def json_option(command: F) -> F:
    """Add `--json` and the shared options."""
    help_text = "Print JSON on stdout: one object, or one array for a list."
    option = click.option("--json", is_flag=True, default=None, help=help_text, **_remembers("json"))
    return shared_options(option(command))


def _remembers(attribute: str) -> dict[str, Any]:
    def remember(context: click.Context, parameter: click.Parameter, value: str | bool | None) -> None:
        if value == "":
            raise click.BadParameter("it is empty; leave it out for the default", param=parameter)
        if value is not None:
            setattr(context.ensure_object(Invocation), attribute, value)

    return {"expose_value": False, "callback": remember}


pass_invocation = click.make_pass_decorator(Invocation)
