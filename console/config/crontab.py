"""Reads a crontab and writes each of its jobs as a task: when it is due, in which zone, and under which name.

What the agent is to do stands in no crontab, so that the prompt is left to the reader. Variables may hold secrets, and
their values are never quoted.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from console.config.field_types import MACROS, CronSchedule, Schedule, Zone, rule_of
from console.domain.text import sanitize

_VARIABLE = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_MACROS = {**MACROS, "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "env", "python", "python3", "node", "flock", "nice", "timeout", "cd"})
"""Words before the program that a command is about."""
_ZONE_VARIABLES = ("CRON_TZ", "TZ")
MOST_QUOTED = 300
"""Characters of a line that are quoted."""
PROMPT = "Say here what the agent is to do: a crontab does not know it."


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTask:
    """One job of a crontab as a task."""

    line: int
    text: str
    """The line, sanitized and shortened."""
    name: str
    schedule: str
    """Cron with five fields, as the config accepts it."""
    time_zone: str
    window: str
    runs_task: str | None = None
    """The task that the job already launches with `nightdesk run`; None for any other command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftLine:
    """A job that stays in the crontab."""

    line: int
    text: str
    why: str


@dataclass(slots=True, kw_only=True)
class Crontab:
    """What was found in one crontab."""

    tasks: list[ImportedTask] = field(default_factory=list)
    left: list[LeftLine] = field(default_factory=list)


def read_crontab(text: str, *, zone: str, has_users: bool = False, taken: Collection[str] = ()) -> Crontab:
    """Read the jobs of a crontab. `zone` is that of the machine, in which cron reads times.

    `has_users` is true for /etc/crontab and files in /etc/cron.d, which name a user before the command. `taken` are
    the names that other tasks have.
    """
    found, names = Crontab(), set(taken)
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        variable = _VARIABLE.fullmatch(line)
        if variable is not None and not stripped[0].isdigit():
            zone = _zone_of(variable, zone)
            continue
        shown = sanitize(stripped, limit=MOST_QUOTED)
        try:
            schedule, command = _split(stripped, has_users=has_users)
        except ValueError as error:
            found.left.append(LeftLine(line=number, text=shown, why=str(error)))
            continue
        known = _launched_task(command)
        name = known or _free_name(_name_of(command), names)
        names.add(name)
        found.tasks.append(
            ImportedTask(
                line=number,
                text=shown,
                name=name,
                schedule=schedule.expression,
                time_zone=zone,
                window="slot" if schedule.repeats_in_a_day else "day",
                runs_task=known,
            )
        )
    return found


def task_lines(task: ImportedTask) -> Iterator[str]:
    """The task as lines of nightdesk.toml, with comments."""
    yield f"# Line {task.line} of the crontab:"
    yield f"#   {task.text}"
    if task.runs_task is not None:
        yield f"# It launches the task {task.name} with `nightdesk run`. Add these keys to that task:"
        yield f"#   schedule = {json.dumps(task.schedule)}"
        yield f"#   time_zone = {json.dumps(task.time_zone)}"
        yield f"#   window = {json.dumps(task.window)}"
        return
    yield "[[tasks]]"
    yield f"name = {json.dumps(task.name)}"
    yield f"prompt = {json.dumps(PROMPT)}   # or prompt_file"
    yield f"schedule = {json.dumps(task.schedule)}"
    yield f"time_zone = {json.dumps(task.time_zone)}   # cron read the line in this zone"
    if task.window == "slot":
        yield 'window = "slot"   # due more than once in a day: one key for each time, not for each day'
    else:
        yield 'window = "day"    # one key for each day: a second launch on the same day is skipped'
    yield "max_seconds = 600   # cron set no limit; nightdesk stops the agent after this"
    yield "budget_units = 50   # held before each launch"


def _zone_of(variable: re.Match[str], zone: str) -> str:
    """The zone that holds below this line; of any other variable nothing is kept."""
    name, value = variable[1].strip("\"'"), variable[2].strip().strip("\"'").removeprefix(":")
    if name not in _ZONE_VARIABLES:
        return zone
    try:
        return str(_read(Zone, value))
    except ValueError:
        return zone


def _read(annotation: Any, value: str) -> Any:
    """Read `value` as the config does. Raises ValueError."""
    rule = rule_of(annotation)
    assert rule is not None, "a type of the config"
    return rule.read(value)


def _split(line: str, *, has_users: bool) -> tuple[CronSchedule, str]:
    """The schedule and the command of a job. Raises ValueError with why it is no task."""
    words = line.split(None, 1 if line.startswith("@") else 5)
    fields = 1 if line.startswith("@") else 5
    if len(words) <= fields:
        raise ValueError("it is not a job: five fields and a command")
    when = " ".join(words[:fields])
    if when == "@reboot":
        raise ValueError("@reboot is no time: nightdesk launches by the clock")
    if when.startswith("@") and when not in _MACROS:
        raise ValueError(f"{sanitize(when, limit=20)} is no schedule that nightdesk knows")
    try:
        schedule: CronSchedule = _read(Schedule, _MACROS.get(when, when))
    except ValueError as error:
        raise ValueError(f"its schedule {error}") from None
    command = words[fields]
    if has_users:
        _, _, command = command.partition(" ")
    return schedule, _first_line(command.strip())


def _first_line(command: str) -> str:
    """What cron gives to the shell: up to the first `%` that is not escaped; what follows is the standard input."""
    return re.split(r"(?<!\\)%", command, maxsplit=1)[0].replace("\\%", "%")


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _launched_task(command: str) -> str | None:
    """The task of a job that runs `nightdesk run TASK`."""
    words = _words(command)
    for index, word in enumerate(words[:-2]):
        if word.rpartition("/")[2] == "nightdesk" and "run" in words[index + 1 :]:
            rest = words[words.index("run", index + 1) + 1 :]
            named = rest[0] if rest else ""
            return named if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", named) and not named.startswith("-") else None
    return None


def _name_of(command: str) -> str:
    """A name for the task: that of the program which the command is about, `agent-report` of `/opt/agent-report.sh`."""
    # The last command of a chain, before its pipes and redirections: `cd /srv && ./report.sh >> log` is a report.
    last = re.split(r"\|\||&&|;", command)[-1]
    for word in _words(re.split(r"[|<>&]", last)[0]) or ["task"]:
        program = word.rpartition("/")[2]
        if "=" in word or word.startswith("-") or program in _SHELLS or re.fullmatch(r"[\d.]+[smhd]?", program):
            continue
        name = re.sub(r"\.(sh|py|js|pl|rb)$", "", program)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:48]
        if name:
            return name
    return "task"


def _free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or `name-2`, `name-3`, … where it is taken."""
    number = 1
    while (free := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return free
