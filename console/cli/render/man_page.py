"""The manual page, in the roff of man(7), made from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence

import click

from console.cli.examples import EXAMPLES

EXIT_STATUS = (
    ("0", "ended ok, or skipped because the key is done or running"),
    (
        "1",
        "the agent ended as failed or incomplete; of status: something needs a person; of service status: it is down",
    ),
    ("2", "usage or configuration error, unknown task or run"),
    ("3", "stopped by its timeout"),
    ("4", "stopped by its budget"),
    ("5", "cancelled, declined or expired"),
    ("6", "refused here or by the service: nothing was launched"),
    ("7", "unconfirmed, or a stop that is not proven: a person must look"),
    ("8", "the state store is missing, damaged, busy or full: nothing was sent"),
    ("70", "internal error (a bug)"),
    ("75", "not sent: offline or rate limited; try later"),
    ("129, 130, 131, 143", "ended by a signal; the run was handed over and goes on"),
    ("141", "the output could not be written"),
)
FILES = (
    ("nightdesk.toml", "the config: in the working folder, else in ~/.config/nightdesk"),
    ("~/.config/nightdesk/NAME.toml", "the config of the context NAME"),
    (
        "~/.local/state/nightdesk",
        "the state folder, unless the config, --state-dir or NIGHTDESK_STATE_DIR names another",
    ),
)
ENVIRONMENT = (
    ("NIGHTDESK_CONFIG", "the config file"),
    ("NIGHTDESK_CONTEXT", "the context; not with NIGHTDESK_CONFIG or NIGHTDESK_STATE_DIR"),
    ("NIGHTDESK_STATE_DIR", "the state folder"),
    ("NIGHTDESK_READ_ONLY", "liftable or locked: change nothing"),
    ("NIGHTDESK_OPERATOR", "who acts, recorded beside the name of the user"),
    ("NIGHTDESK_ASCII", "1: draw the console in ASCII"),
    ("NO_COLOR", "no colour"),
)
SHARED = frozenset({"config", "context", "state_dir", "color"})
"""Options of every command, which are described once."""


def man_page(cli: click.Group, commands: Mapping[str, click.Command], *, version: str, shared: Sequence[str]) -> str:
    """Return the page. `commands` are those on it by name; `shared` are the names of options that all of them take."""
    context = click.Context(cli, info_name="nightdesk")
    lines = [
        f'.TH NIGHTDESK 1 "" "nightdesk {_roff(version)}" "User Commands"',
        ".SH NAME",
        r"nightdesk \- operations console for unattended managed agents",
        ".SH SYNOPSIS",
        ".B nightdesk",
        r"[\fICOMMAND\fR [\fIARGUMENTS\fR]]",
        ".SH DESCRIPTION",
        _roff(
            "Launches agents from a console, from cron or by its own schedule, supervises each run to a proven end "
            "with a timeout, a budget cap and an idempotency key, and records what happened. Without a command it "
            "opens the console."
        ),
        ".SH OPTIONS",
        "Every command takes these:",
        *_options([option for option in cli.params if option.name in shared], context),
        ".SH COMMANDS",
    ]
    for name, command in commands.items():
        lines += _command(command, (name,), context, shared)
    for title, pairs in (("EXIT STATUS", EXIT_STATUS), ("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT)):
        lines.append(f".SH {title}")
        lines += [line for term, text in pairs for line in (".TP", f".B {_roff(term)}", _roff(text))]
    return "\n".join(lines) + "\n"


def _command(
    command: click.Command, path: tuple[str, ...], parent: click.Context, shared: Sequence[str]
) -> Iterator[str]:
    context = click.Context(command, info_name=path[-1], parent=parent)
    words = " ".join(path)
    yield f'.SS "nightdesk {_roff(words)} {_roff(" ".join(command.collect_usage_pieces(context)))}"'
    for paragraph in _paragraphs(command.help or ""):
        yield paragraph
        yield ".PP"
    yield from _options([option for option in command.params if option.name not in shared], context)
    found = EXAMPLES.get(words, ())
    if found:
        yield ".PP"
        yield "Examples:"
    for example in found:
        yield ".TP"
        yield f".B nightdesk {_roff(example.line)}"
        yield _roff(example.meaning)
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, (*path, name), parent, shared)


def _options(params: Sequence[click.Parameter], context: click.Context) -> Iterator[str]:
    for param in params:
        record = param.get_help_record(context) if isinstance(param, click.Option) and not param.hidden else None
        if record is not None:
            yield ".TP"
            yield f".B {_roff(record[0])}"
            yield _roff(record[1]) or r"\&"


def _paragraphs(text: str) -> Iterator[str]:
    """The help of a command, a paragraph each; what click must not wrap keeps its lines."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if block.startswith("\b"):
            body = "\n".join(_roff(line) for line in block.splitlines()[1:])
            yield f".nf\n{body}\n.fi"
        else:
            yield _roff(" ".join(block.split()))


def _roff(text: str) -> str:
    """Text that roff prints as it is: a line that begins with a dot is no request, a hyphen is a minus."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq").replace("\b", "")
    escaped = re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", escaped)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
