"""Every command has examples that it accepts, and the manual page has every command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import click
import pytest

from console.cli.examples import EXAMPLES, Example
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation
from console.cli.main import COMMANDS, cli
from console.cli.render.man_page import EXIT_STATUS
from tests.cli.nightdesk import Nightdesk

CONTEXT = click.Context(cli, info_name="nightdesk")


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Every command that is on a help page, with its words."""
    for name, entry in COMMANDS.items():
        command = cli.get_command(CONTEXT, name)
        assert command is not None
        if not entry.hidden:
            yield from _with_inner(name, command)


def _with_inner(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _with_inner(f"{path} {name}", inner)


def test_every_command_has_examples_and_no_others_have() -> None:
    assert {path for path, _ in every_command()} == set(EXAMPLES)


@pytest.mark.parametrize(
    ("path", "example"), [(path, example) for path, found in EXAMPLES.items() for example in found]
)
def test_every_example_is_accepted_by_its_command(path: str, example: Example) -> None:
    words = shlex.split(example.line.split(" | ")[0].split(" >> ")[0])
    invocation = Invocation.__new__(Invocation)
    context: click.Context = click.Context(cli, info_name="nightdesk", obj=invocation)
    command: click.Command = cli
    for _ in path.split():
        assert isinstance(command, click.Group)
        _name, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        if not isinstance(command, click.Group):
            break
    inner = isinstance(command, click.Group) and words and words[0] in command.commands
    if not inner:
        # Parses all arguments and options; raises click.UsageError for one that is not known.
        command.make_context(path, words, parent=context)


def test_a_help_page_ends_with_its_examples(nightdesk: Nightdesk, capsys: pytest.CaptureFixture[str]) -> None:
    assert nightdesk("help", "caps").code == 0
    assert "Examples:\n    nightdesk caps\n        how full each cap is" in capsys.readouterr().out


def test_the_manual_page_has_every_command_and_every_exit_code(nightdesk: Nightdesk) -> None:
    page = nightdesk("man").out
    for path, _ in every_command():
        assert f'.SS "nightdesk {path.replace("-", chr(92) + "-")} ' in page
    codes = [int(code) for term, _ in EXIT_STATUS for code in term.split(",")]
    assert sorted(codes) == sorted(ExitCode)
    assert page.isascii()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_say_about_the_manual_page(nightdesk: Nightdesk) -> None:
    page = nightdesk("man").out
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=page, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "nightdesk run nightly-report --date 2026-11-22" in " ".join(re.sub(".\b", "", done.stdout).split())
