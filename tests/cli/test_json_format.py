"""What commands print with `--json` is exactly what is declared, and docs/json.md and `schema` say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest

from console.cli.json_format import FORMATS, VERSION, json_schema
from console.cli.main import COMMANDS, cli
from tests import json_page
from tests.cli.json_check import check
from tests.cli.nightdesk import Done, Nightdesk

VARIANTS = {"show --follow", "log --follow", "doctor --reconcile", "store init --print", "errors"}
"""Formats that are not those of a command: of an option, and of errors."""
WITHOUT_JSON = {
    "console": "a screen",
    "serve": "it does not end by itself; `status` says how it is",
    "guard": "started by the program alone",
    "simulator": "it does not end by itself",
    "metrics": "a format of its own, that of Prometheus",
    "schema": "JSON without it",
    "completion": "a script for the shell",
    "man": "a page",
    "import": "a group that does nothing by itself",
    "service": "a group that does nothing by itself",
}
"""The commands that do not take `--json`, each with the reason."""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, bool]]:
    """Every command as it is typed, and whether it takes `--json`."""
    context = click.Context(group)
    for name in COMMANDS if not path else group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join((*path, name)), any("--json" in parameter.opts for parameter in command.params)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_every_command_has_a_format_or_a_reason_to_have_none() -> None:
    assert {name for name, takes_json in commands(cli) if takes_json} == set(FORMATS) - VARIANTS
    assert {name for name, takes_json in commands(cli) if not takes_json} == set(WITHOUT_JSON)


def test_the_page_lists_every_field() -> None:
    assert json_page.written() == json_page.tables(), "run: python -m tests.json_page"


def test_a_schema_is_versioned_and_lets_later_fields_pass(nightdesk: Nightdesk) -> None:
    for name in FORMATS:
        found = nightdesk("schema", *name.split()).json if "--" not in name else json_schema(name)
        assert found["$comment"].startswith(f"format version {VERSION};")
        assert '"additionalProperties": false' not in json.dumps(found)
    assert nightdesk("schema").out.split("\n")[0] == "run"
    unknown = nightdesk("schema", "sing")
    assert unknown.code == 2
    assert "has no JSON format; accepted: run, ps" in unknown.err


def test_a_field_that_is_not_declared_is_found() -> None:
    with pytest.raises(AssertionError, match="unknown field `more`"):
        check("resume", '{"paused": false, "more": 1}')
    with pytest.raises(AssertionError, match="missing required field `paused`"):
        check("resume", "{}")


def printed(nightdesk: Nightdesk, name: str, *arguments: str, code: int = 0) -> Any:
    """Run the command with `--json` and check what it prints."""
    done: Done = nightdesk(*(word for word in name.split() if word != "--json"), *arguments, "--json")
    assert done.code == code, done.err
    return check(name, done.out)


def test_reading_commands_print_what_is_declared(nightdesk: Nightdesk) -> None:
    assert printed(nightdesk, "run", "good", "--origin", "manual")["outcome"] == "ok"
    printed(nightdesk, "run", "good", "--origin", "manual")
    printed(nightdesk, "run", "lost", "--origin", "manual", code=7)
    printed(nightdesk, "run", "nightly", "--origin", "schedule", code=6)
    assert len(printed(nightdesk, "ps")) == 1
    printed(nightdesk, "status", code=1)
    printed(nightdesk, "next")
    assert len(printed(nightdesk, "history")) == 4
    for run in ("good", "lost"):
        printed(nightdesk, "show", run)
    assert printed(nightdesk, "show --follow", "good")
    printed(nightdesk, "diff", "good", "lost")
    assert printed(nightdesk, "log")
    printed(nightdesk, "log rebuild")
    printed(nightdesk, "log rotate")
    for group in ("task", "day", "outcome", "stage", "provider"):
        assert printed(nightdesk, "usage", "--by", group)
    for option in ("--day", "--week", "--month"):
        printed(nightdesk, "report", option)
    printed(nightdesk, "stage")
    printed(nightdesk, "stage", "nightly")
    printed(nightdesk, "caps")
    printed(nightdesk, "paths")
    printed(nightdesk, "doctor")
    printed(nightdesk, "notify")
    crontab = nightdesk.folder / "crontab"
    crontab.write_text("0 3 * * *  /usr/local/bin/report.sh\n@reboot  /bin/true\n", encoding="utf-8")
    printed(nightdesk, "import crontab", str(crontab))


def test_acting_commands_print_what_is_declared(nightdesk: Nightdesk) -> None:
    assert nightdesk.launch("endless", "--no-wait").code == 0
    assert printed(nightdesk, "cancel", "endless", "--reason", "a test")[0]["outcome"] == "cancelled"
    nightdesk.launch("lost")
    printed(nightdesk, "settle", "lost", "write-off", "--reason", "a test")
    printed(nightdesk, "stage", "nightly", "semi", "--force", "--reason", "a test")
    for decision in ("decline", "approve"):
        proposed = nightdesk("run", "nightly", "--origin", "schedule", "--no-wait", "--json")
        check("run", proposed.out)
        printed(nightdesk, decision, "nightly")
    printed(nightdesk, "caps raise", "daily_runs", "3", "--reason", "a test")
    printed(nightdesk, "pause")
    printed(nightdesk, "pause", "--cancel")
    printed(nightdesk, "resume")
    acts = {each["act"] for each in printed(nightdesk, "audit")}
    assert acts == {"cancel", "settle", "promote", "decline", "approve", "raise", "pause", "resume"}
    failed = nightdesk("show", "nobody", "--json")
    assert failed.code == 2
    check("errors", failed.err)
