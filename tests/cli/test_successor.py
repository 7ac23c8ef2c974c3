"""Runs are handed to a supervisor with the settings of its parent; if none can be started, that is reported."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from subprocess import PIPE, Popen

import pytest

from console.cli.successor import ancestors_of, no_successor_reason
from console.config import load
from tests.cli.nightdesk import Done, Nightdesk
from tests.waiting import until_sync


def running(nightdesk: Nightdesk) -> bool:
    return any(run["state"] == "running" for run in nightdesk.live())


def start_run(nightdesk: Nightdesk, task: str) -> Popen[str]:
    process = nightdesk.start("run", task, "--origin", "manual")
    until_sync(lambda: running(nightdesk))
    return process


def ended_as(nightdesk: Nightdesk) -> str | None:
    found = nightdesk("history", "--json").json
    return found[0]["outcome"] if found else None


def test_a_torn_config_does_not_stop_the_supervisor_that_takes_over(nightdesk: Nightdesk) -> None:
    process = start_run(nightdesk, "limited")
    config = nightdesk.folder / "nightdesk.toml"
    whole = config.read_text(encoding="utf-8")
    config.write_text(whole + '\n[[tasks]]\nname = "half a lin\n', encoding="utf-8")
    process.send_signal(signal.SIGINT)
    done = nightdesk.ended(process)
    config.write_text(whole, encoding="utf-8")
    assert done.code == 130
    assert "supervised by the background supervisor" in done.err
    until_sync(lambda: ended_as(nightdesk) == "timeout", within=30)
    assert nightdesk.service.live() == 0


@pytest.mark.proofs
def test_a_named_pipe_in_place_of_diag_log_does_not_stop_the_supervisor_that_takes_over(nightdesk: Nightdesk) -> None:
    process = start_run(nightdesk, "limited")
    (nightdesk.state / "diag.log").unlink(missing_ok=True)
    os.mkfifo(nightdesk.state / "diag.log")
    process.send_signal(signal.SIGTERM)
    done = nightdesk.ended(process)
    assert done.code == 143
    assert "supervised by the background supervisor" in done.err
    until_sync(lambda: ended_as(nightdesk) == "timeout", within=30)


def test_a_key_file_that_is_gone_does_not_stop_the_supervisor_that_takes_over(nightdesk: Nightdesk) -> None:
    key = nightdesk.folder / "key"
    key.touch(mode=0o600)
    key.write_text("canary-key", encoding="utf-8")
    config = nightdesk.folder / "nightdesk.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[provider]\n", f'[provider]\napi_key_file = "{key}"\n'), encoding="utf-8")
    process = start_run(nightdesk, "limited")
    key.unlink()
    process.send_signal(signal.SIGTERM)
    assert nightdesk.ended(process).code == 143
    until_sync(lambda: ended_as(nightdesk) == "timeout", within=30)
    assert nightdesk.service.live() == 0


def _stays_then_ends(nightdesk: Nightdesk, process: Popen[str], reason: str) -> Done:
    """Signal the process twice: the first signal is refused with a reason, the second ends the process."""
    assert process.stderr is not None
    process.send_signal(signal.SIGTERM)
    said = ""
    for line in process.stderr:
        said += line
        if "goes on supervising" in line:
            break
    assert reason in said
    assert running(nightdesk)
    process.send_signal(signal.SIGTERM)
    return nightdesk.ended(process)


def test_without_a_successor_it_goes_on_guarding_and_ends_with_7_when_asked_again(nightdesk: Nightdesk) -> None:
    process = start_run(nightdesk, "endless")
    # A supervisor cannot be started because diag.log is a directory.
    diag = nightdesk.state / "diag.log"
    diag.unlink(missing_ok=True)
    diag.mkdir()
    done = _stays_then_ends(nightdesk, process, "the background supervisor does not start: Is a directory")
    assert done.code == 7
    assert "has no supervisor now" in done.err
    diag.rmdir()
    assert nightdesk("cancel", "--all").code == 0


def test_the_main_process_of_a_systemd_unit_leaves_nobody_behind(nightdesk: Nightdesk) -> None:
    words = f"{sys.executable} -m console --state-dir {nightdesk.state} run endless --origin manual --no-wait"
    process = Popen(
        ["sh", "-c", f"SYSTEMD_EXEC_PID=$$ INVOCATION_ID=1 exec {words}"],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "goes on supervising" in line:
            break
    assert "systemd ends every process of this unit with it" in said
    process.send_signal(signal.SIGTERM)
    done = nightdesk.ended(process)
    assert done.code == 7
    assert "has no supervisor now" in done.err
    assert nightdesk("cancel", "--all").code == 0


@pytest.mark.parametrize(
    ("environment", "pid", "parent", "words"),
    [
        ({}, 1, 0, "first of its container"),
        ({"INVOCATION_ID": "a", "SYSTEMD_EXEC_PID": "70"}, 70, 1, "systemd"),
        ({"INVOCATION_ID": "a", "SYSTEMD_EXEC_PID": "70"}, 71, 70, "systemd"),
        ({"INVOCATION_ID": "a", "SYSTEMD_EXEC_PID": "50"}, 71, 70, None),
        ({}, 71, 70, None),
    ],
)
def test_where_a_process_can_be_left_behind(
    environment: dict[str, str], pid: int, parent: int, words: str | None
) -> None:
    """A shell in a terminal started by systemd inherits INVOCATION_ID, but its processes may outlive the command."""
    reason = no_successor_reason(environment, pid=pid, ancestors=[parent], has_terminal=True)
    assert (reason is None) == (words is None)
    assert words is None or words in (reason or "")


@pytest.mark.parametrize(("has_terminal", "is_possible"), [(False, False), (True, True)])
def test_a_script_deep_inside_a_unit_cannot_leave_a_process_behind(has_terminal: bool, is_possible: bool) -> None:
    """At a terminal the ancestor is a terminal program that is a unit itself, and goes on."""
    unit = {"INVOCATION_ID": "1", "SYSTEMD_EXEC_PID": "40"}
    reason = no_successor_reason(unit, pid=70, ancestors=[60, 50, 40], has_terminal=has_terminal)
    assert (reason is None) == is_possible


def test_the_ancestors_of_this_process_begin_with_its_parent() -> None:
    assert ancestors_of(os.getpid())[0] == os.getppid()
    assert ancestors_of(1) == []


def test_an_error_of_the_program_leaves_no_run_without_a_guard(nightdesk: Nightdesk) -> None:
    script = """
import sys
from console.cli.commands import run
def broken(*_):
    raise RuntimeError("a bug")
run.progress_line = broken
from console.__main__ import main
main()
"""
    process = Popen(
        [sys.executable, "-c", script, "--state-dir", str(nightdesk.state), "run", "limited", "--origin", "manual"],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )
    assert nightdesk.ended(process).code == 70
    until_sync(lambda: ended_as(nightdesk) == "timeout", within=30)
    assert nightdesk.service.live() == 0


def test_a_supervisor_started_without_settings_reads_the_file(nightdesk: Nightdesk) -> None:
    """This is the case when a user runs `nightdesk guard`."""
    nightdesk.launch("good")
    done = nightdesk.process("guard")
    assert (done.code, done.err) == (0, "")


def test_settings_survive_the_way_to_another_process(nightdesk: Nightdesk) -> None:
    settings = load(nightdesk.folder / "nightdesk.toml")
    assert pickle.loads(pickle.dumps(settings)) == settings
