"""A usage or config error gives one clear line on stderr and its exit code, and launches nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.nightdesk import CAPS, Nightdesk
from tests.tree import ROOT


def test_usage_and_names(nightdesk: Nightdesk) -> None:
    for arguments in (
        ("rnu",),
        ("run",),
        ("run", "nope"),
        ("show", "zzzzzz"),
        ("show", "ab"),
        ("caps", "raise", "x", "1", "--reason", "r"),
        ("history", "--since", ""),
        ("log", "--until", ""),
    ):
        done = nightdesk(*arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert "Traceback" not in done.err
    assert "Did you mean run?" in nightdesk("rnu").err
    assert "known tasks: good, " in nightdesk("run", "nope").err
    assert nightdesk("run", "good", "--date", "23.11.2026").code == 2
    assert nightdesk.service.posts() == 0


@pytest.mark.parametrize(
    "amount", ["NaN", "1e3", "0", "0.0001", "1000000000000.001", "9" * 30, "9" * 5_000, "٣", "", "1.5x"]
)
def test_a_raise_is_judged_as_a_cap_in_the_config_is(nightdesk: Nightdesk, amount: str) -> None:
    done = nightdesk("caps", "raise", "daily_units", amount, "--reason", "r")
    assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
    assert nightdesk("caps", "raise", "daily_runs", "100001", "--reason", "r").code == 2
    (cap,) = [each for each in nightdesk("caps", "--json").json if each["cap"] == "daily_units"]
    assert cap["limit"] == 2000


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e400", ""])
def test_a_wait_is_a_number_of_seconds(nightdesk: Nightdesk, seconds: str) -> None:
    assert nightdesk("cancel", "--all", "--timeout", seconds).code == 2
    assert nightdesk("pause", "--timeout", seconds).code == 2
    assert nightdesk("ps", "--json").json == []


@pytest.mark.parametrize("option", ["--config", "--state-dir"])
def test_an_empty_path_is_not_taken_for_the_default(nightdesk: Nightdesk, option: str) -> None:
    done = nightdesk("run", "good", option, "")
    assert (done.code, option in done.err, nightdesk.service.posts()) == (2, True, 0), done.err


@pytest.mark.parametrize("path", ["/", "/dev/null", "/proc/self/mem"])
def test_a_config_that_is_no_file_is_one_line(nightdesk: Nightdesk, path: str) -> None:
    done = nightdesk("run", "good", "--config", path)
    assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
    assert path in done.err


def test_a_reason_in_which_nothing_can_be_seen_is_none(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    for blank in ("", " ", "\u200b", "\u2028\t\u202e"):
        assert nightdesk("caps", "raise", "daily_units", "1", "--reason", blank).code == 6
        assert nightdesk("run", "good", "--origin", "manual", "--rerun", "--reason", blank).code == 2
        assert nightdesk("stage", "good", "unattended", "--force", "--reason", blank).code != 0
    assert nightdesk.service.started() == 1


def test_all_errors_of_a_config_are_reported(nightdesk: Nightdesk) -> None:
    nightdesk.configure(CAPS.replace("daily_runs", "dayly_runs"))

    done = nightdesk("ps", "--json")

    assert (done.code, done.out) == (2, "")
    told = json.loads(done.err)["error"].splitlines()
    assert len(told) == 2
    assert all(line.startswith(f"{nightdesk.folder}/nightdesk.toml:") for line in told)
    assert 'did you mean "daily_runs"?' in done.err.replace("\\", "")
    plain = nightdesk("ps").err.splitlines()
    assert plain == [f"nightdesk: {line}" for line in told]


def test_without_a_config_it_says_how_to_get_one(nightdesk: Nightdesk) -> None:
    (nightdesk.folder / "nightdesk.toml").unlink()

    done = nightdesk("run", "good")

    assert done.code == 2
    assert f"nightdesk --state-dir {nightdesk.state} init" in done.err


def test_without_a_key_nothing_is_claimed(nightdesk: Nightdesk) -> None:
    del nightdesk.environment["GEMINI_API_KEY"]

    done = nightdesk.launch("good")

    assert (done.code, done.out) == (2, "")
    assert "GEMINI_API_KEY" in done.err
    assert nightdesk("history", "--json").json == []


def test_a_lost_database_stops_everything(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    (nightdesk.state / "nightdesk.db").unlink()

    done = nightdesk.launch("good")

    assert (done.code, done.out) == (8, "")
    assert nightdesk.service.started() == 1


def test_a_closed_pipe_is_no_error(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    command = f"{sys.executable} -m console --state-dir {nightdesk.state} log | true"

    piped = subprocess.run(
        ["sh", "-c", command], cwd=nightdesk.folder, env=nightdesk.environment, capture_output=True, check=False
    )

    assert piped.stderr == b""


def test_an_internal_error_shows_code_locations_and_no_values() -> None:
    script = """
import sys
from console.__main__ import main
from console.cli import main as command_line
def broken(*_, **__):
    secret = "canary"
    raise RuntimeError("canary " + secret)
command_line.cli.main = broken
main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 70
    assert "internal error: RuntimeError" in done.stderr
    assert "canary" not in done.stderr


def test_a_likely_emergency_word_suggests_the_command(nightdesk: Nightdesk) -> None:
    for word in ("kill", "stop"):
        assert "pause --cancel" in nightdesk(word).err
    assert f"nightdesk --state-dir {nightdesk.state} ps" in nightdesk("list").err
    assert "Did you mean history?" in nightdesk("histroy").err
    assert "guard" not in nightdesk("gaurd").err, "a hidden command is not suggested"


def test_an_unknown_task_names_the_nearest(nightdesk: Nightdesk) -> None:
    done = nightdesk("run", "nihgtly")
    assert (done.code, nightdesk.service.started()) == (2, 0)
    assert "did you mean nightly?" in done.err
    assert "known tasks: good, failing" in nightdesk("run", "xyz").err
