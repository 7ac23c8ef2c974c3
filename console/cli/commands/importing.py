"""`import`: what other schedulers have, as tasks of nightdesk.toml."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.config import ConfigError
from console.config.crontab import Crontab, read_crontab, task_lines
from console.domain.text import sanitize
from console.trusted_files import Unreadable, read_bounded

MOST_BYTES = 1 << 20
CRONTAB_WITHIN_S = 10.0
ZONE_FOLDERS = ("/usr/share/zoneinfo/", "/usr/lib/zoneinfo/", "/etc/zoneinfo/")


@click.group("import")
def import_command() -> None:
    """Print the jobs of a crontab as tasks."""


@import_command.command("crontab")
@click.argument("file", required=False)
@click.option("--system", is_flag=True, help="FILE names a user before each command, as /etc/crontab does.")
@json_option
@pass_invocation
def crontab_command(invocation: Invocation, file: str | None, system: bool) -> int:
    """Print each job of a crontab as a [[tasks]] table, with its window and zone, and what to take out of the crontab.

    FILE is a file, or - for standard input; without it, the crontab of this user. Nothing is changed.
    """
    text = _read(invocation, file)
    try:
        taken = [task.name for task in invocation.settings().tasks]
    except (ConfigError, CommandError):
        taken = []
    is_system = system or (file is not None and str(invocation.working / file).startswith("/etc/cron"))
    found = read_crontab(text, zone=machine_zone(), has_users=is_system, taken=taken)
    if invocation.json:
        invocation.out_json(_json(found))
        return ExitCode.OK
    for task in found.tasks:
        invocation.out("", *task_lines(task))
    invocation.say(*_advice(found))
    return ExitCode.OK


def machine_zone() -> str:
    """The name of the zone of this machine, by which cron reads times; UTC where it has no name."""
    try:
        target = os.path.realpath("/etc/localtime")
        for folder in ZONE_FOLDERS:
            if target.startswith(folder):
                return target.removeprefix(folder).removeprefix("posix/")
        return Path("/etc/timezone").read_text(encoding="ascii").strip() or "UTC"
    except (OSError, UnicodeDecodeError):
        return "UTC"


def _read(invocation: Invocation, file: str | None) -> str:
    """The crontab. Raises CommandError."""
    if file == "-":
        return invocation.stdin.read(MOST_BYTES)
    if file is None:
        return _own_crontab()
    try:
        return read_bounded(invocation.working / Path(file).expanduser(), most=MOST_BYTES).decode("utf-8", "replace")
    except (Unreadable, RuntimeError) as error:
        raise CommandError(ExitCode.USAGE, f"{sanitize(file, limit=200)}: the file {error}") from None


def _own_crontab() -> str:
    """What `crontab -l` prints. Raises CommandError."""
    try:
        done = subprocess.run(
            ["crontab", "-l"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=CRONTAB_WITHIN_S,
        )
    except FileNotFoundError:
        message = "there is no program crontab here; give a file: nightdesk import crontab FILE"
        raise CommandError(ExitCode.USAGE, message) from None
    except (OSError, subprocess.TimeoutExpired):
        raise CommandError(
            ExitCode.USAGE, "`crontab -l` did not answer; give a file: nightdesk import crontab FILE"
        ) from None
    if done.returncode:
        why = sanitize(done.stderr.decode("utf-8", "replace").strip(), limit=200) or f"exit {done.returncode}"
        raise CommandError(ExitCode.USAGE, f"`crontab -l` says: {why}")
    return done.stdout.decode("utf-8", "replace")


def _advice(found: Crontab) -> list[str]:
    """What to do with what was printed, and what stays where it is."""
    lines = [f"line {left.line} stays in the crontab: {left.why}: {left.text}" for left in found.left]
    if not found.tasks:
        return [*lines, "no job of this crontab became a task"]
    numbers = ", ".join(str(task.line) for task in found.tasks)
    return [
        *lines,
        "Each task begins at stage manual: its schedule launches nothing yet. Write its prompt, launch it once by hand",
        "(nightdesk run TASK), then: nightdesk stage TASK semi. `nightdesk next` shows what is due.",
        f"When a task is at stage semi, take its line out of the crontab, or both run: {numbers}.",
    ]


def _json(found: Crontab) -> dict[str, object]:
    return {
        "version": 1,
        "tasks": [
            {
                "line": task.line,
                "text": task.text,
                "name": task.name,
                "schedule": task.schedule,
                "time_zone": task.time_zone,
                "window": task.window,
                "runs_task": task.runs_task,
            }
            for task in found.tasks
        ],
        "left": [{"line": left.line, "text": left.text, "why": left.why} for left in found.left],
    }
