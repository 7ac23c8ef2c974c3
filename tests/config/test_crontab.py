"""Every job of a crontab becomes a task that the config accepts, due at the same times, or stays with a reason."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config import load
from console.config.crontab import ImportedTask, read_crontab, task_lines
from tests.config.files import CAPS, written

ZONE = "Europe/Berlin"


def only(line: str, *, has_users: bool = False) -> ImportedTask:
    """The task of a crontab with this one job."""
    found = read_crontab(line, zone=ZONE, has_users=has_users)
    assert not found.left
    (task,) = found.tasks
    return task


@pytest.mark.parametrize(
    ("line", "schedule", "window"),
    [
        ("0 3 * * *  /opt/report.sh", "0 3 * * *", "day"),
        ("*/15\t*  * * * /opt/report.sh", "*/15 * * * *", "slot"),
        ("0 3,15 * * * /opt/report.sh", "0 3,15 * * *", "slot"),
        ("30 2 * * mon-fri /opt/report.sh", "30 2 * * mon-fri", "day"),
        ("@daily /opt/report.sh", "0 0 * * *", "day"),
        ("@hourly /opt/report.sh", "0 * * * *", "slot"),
        ("@monthly /opt/report.sh", "0 0 1 * *", "day"),
        ("@yearly /opt/report.sh", "0 0 1 1 *", "day"),
    ],
)
def test_times_are_those_of_the_line(line: str, schedule: str, window: str) -> None:
    task = only(line)
    assert (task.schedule, task.window, task.time_zone) == (schedule, window, ZONE)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/opt/agent-report.sh --all", "agent-report"),
        ("cd /srv/site && ./agent-report.sh >> log 2>&1", "agent-report"),
        ("FOO=1 timeout 10m nice -n 5 /opt/triage.py | tee log", "triage"),
        ("flock -n /opt/x.lock /usr/bin/python3 /opt/nightly.py", "x.lock"),
        ("echo 'not closed", "echo"),
        ("/opt/\x1b[31mred", "31mred"),
        ("%", "task"),
        ("cd /", "task"),
    ],
)
def test_the_name_is_that_of_the_program(command: str, name: str) -> None:
    assert only(f"0 3 * * * {command}").name == name


def test_names_are_taken_once() -> None:
    lines = "0 1 * * * /opt/a.sh\n0 2 * * * /opt/a.sh\n0 3 * * * /opt/b.sh\n"
    found = read_crontab(lines, zone=ZONE, taken=["b"])
    assert [task.name for task in found.tasks] == ["a", "a-2", "b-2"]


def test_a_zone_holds_for_the_lines_below_it_and_no_value_of_a_variable_is_quoted() -> None:
    lines = (
        'API_KEY=canary\n0 1 * * * /opt/a\nCRON_TZ=Asia/Tokyo\n0 1 * * * /opt/b\nTZ = "UTC"\n0 1 * * * /opt/c\n'
        "CRON_TZ=canary/zone\n0 1 * * * /opt/d\n"
    )
    found = read_crontab(lines, zone=ZONE)
    assert [task.time_zone for task in found.tasks] == [ZONE, "Asia/Tokyo", "UTC", "UTC"]
    assert "canary" not in repr(found)


def test_a_system_crontab_names_a_user_before_the_command() -> None:
    assert only("0 3 * * * www-data /opt/report.sh", has_users=True).name == "report"


def test_a_line_that_already_launches_a_task_adds_its_schedule_and_no_table() -> None:
    task = only("15 4 * * * $HOME/.local/bin/nightdesk --config x run nightly-report --json")
    assert (task.runs_task, task.name) == ("nightly-report", "nightly-report")
    assert all(line.startswith("#") for line in task_lines(task))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@reboot /opt/start", "@reboot is no time"),
        ("@sometimes /opt/start", "@sometimes is no schedule"),
        ("99 3 * * * /opt/x", 'its schedule "99 3 * * *" has a bad minute'),
        ("0 0 31 2 * /opt/x", "its schedule"),
        ("0~30 3 * * * /opt/x", "its schedule"),
        ("garbage", "it is not a job"),
        ("0 3 * * *", "it is not a job"),
    ],
)
def test_what_is_no_task_stays_with_a_reason(line: str, why: str) -> None:
    found = read_crontab(f"# a comment\n\n{line}\n", zone=ZONE)
    assert not found.tasks
    assert found.left[0].line == 3
    assert found.left[0].why.startswith(why)


def test_the_tables_are_accepted_by_the_config(tmp_path: Path) -> None:
    lines = "0 3 * * * /opt/a.sh\n*/5 * * * * /opt/a.sh\n@weekly /opt/\"b'.py\n"
    found = read_crontab(lines, zone=ZONE)
    tables = "\n".join(line for task in found.tasks for line in task_lines(task))
    settings = load(written(tmp_path, f"{CAPS}{tables}\n"))
    assert [(task.name, task.schedule, task.window) for task in settings.tasks] == [
        (task.name, task.schedule, task.window) for task in found.tasks
    ]
    assert {task.time_zone for task in settings.tasks} == {ZONE}


@given(st.lists(st.sampled_from(["0 3 * * *", "@daily", "*/5 * * * *", "x", "CRON_TZ=UTC", "%", "\\"])), st.text())
def test_whatever_a_crontab_holds_the_output_is_toml(parts: list[str], text: str) -> None:
    found = read_crontab("\n".join(f"{part} {text}" for part in parts), zone=ZONE)
    tables = "\n".join(line for task in found.tasks for line in task_lines(task))
    tasks = tomllib.loads(tables).get("tasks", [])
    assert len(tasks) == sum(task.runs_task is None for task in found.tasks)
