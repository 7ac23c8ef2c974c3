"""The commands at the services that run agents in sessions."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.config.providers import KEY_VARIABLES
from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from tests.cli.nightdesk import CAPS, ENDLESS, QUICK, Done, Nightdesk
from tests.waiting import until_sync

ANTHROPIC = """\
[provider]
kind = "anthropic"
base_url = "{url}"
agent = "agent_7"
environment = "env_7"
model = "claude-haiku-5-5"
poll_seconds = 0.1
[prices."claude-haiku-5-5"]
input = 2
cached = 0.2
output = 10
"""
OPENAI = """\
[provider]
kind = "openai"
base_url = "{url}"
model = "gpt-6-astra"
container = "small"
poll_seconds = 0.1
[prices."gpt-6-astra"]
input = 2
cached = 0.2
output = 12
"""
PROVIDERS = {"anthropic": ANTHROPIC, "openai": OPENAI}
ONLY_ANTHROPIC = pytest.mark.parametrize("kind", ["anthropic"], indirect=False)
ONLY_OPENAI = pytest.mark.parametrize("kind", ["openai"], indirect=False)
TASKS = {
    "good": QUICK,
    "endless": ENDLESS,
    "lost": Scenario(step_seconds=0.1, ending=Ending.NEVER, faults=("create.lost_reply",)),
    "dropped": Scenario(faults=("create.dropped",)),
    "asking": Scenario(steps=2, step_seconds=0.05, ending=Ending.REQUIRES_ACTION),
    "unanswered": Scenario(step_seconds=0.1, ending=Ending.NEVER, faults=("create.silence",)),
}


@pytest.fixture(params=PROVIDERS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the service."""
    return str(request.param)


@pytest.fixture
def nightdesk(tmp_path: Path, kind: str) -> Iterator[Nightdesk]:
    with SimulatorThread(face=kind) as simulator:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        nightdesk.environment[KEY_VARIABLES[kind]] = "canary-key"
        tasks = "".join(
            f"[[tasks]]\nname = \"{name}\"\nprompt = '''{scenario.prompt('Go.')}'''\n"
            for name, scenario in TASKS.items()
        )
        text = PROVIDERS[kind].format(url=simulator.url) + CAPS + tasks
        (tmp_path / "nightdesk.toml").write_text(text, encoding="utf-8")
        yield nightdesk
        nightdesk.close()


def told(done: Done, check: str) -> list[tuple[str, str]]:
    """Return the level and text of each finding of a check of `doctor`."""
    return [(finding["level"], finding["told"]) for finding in done.json if finding["check"] == check]


def test_what_was_made_for_a_run_is_called_a_session(nightdesk: Nightdesk) -> None:
    run = nightdesk.launch("good").json["run"]
    shown = nightdesk("show", run).out
    assert re.search(r"^session +\S+$", shown, re.MULTILINE)
    assert "sandbox" not in shown


@ONLY_ANTHROPIC
def test_a_run_ends_with_the_money_that_the_service_tells(nightdesk: Nightdesk) -> None:
    done = nightdesk.launch("good")
    assert (done.code, done.json["outcome"]) == (0, "ok")
    shown = nightdesk("show", done.json["run"], "--json").json
    assert shown["sandbox_id"] == shown["remote_id"]
    assert (shown["cost"], shown["currency"], shown["server_limit"]) == (0.02, "USD", "usd:500c")
    assert nightdesk.service.posts() == nightdesk.service.started() == 1


@ONLY_OPENAI
def test_a_run_ends_with_the_money_of_the_price_table(nightdesk: Nightdesk) -> None:
    done = nightdesk.launch("good")
    assert (done.code, done.json["outcome"]) == (0, "ok")
    shown = nightdesk("show", done.json["run"], "--json").json
    assert shown["sandbox_id"] == shown["remote_id"]
    assert (shown["currency"], shown["server_limit"]) == ("USD", "none")
    assert shown["cost"] > 0
    assert "no limit at the service" in nightdesk("show", done.json["run"]).out
    assert nightdesk.service.posts() == nightdesk.service.started() == 1


def test_a_launch_whose_answer_was_lost_is_found_again(nightdesk: Nightdesk, kind: str) -> None:
    done = nightdesk.launch("lost", "--no-wait")
    assert done.code == 0
    assert nightdesk.service.started() == 1
    # The one service takes a message again and recognises it by its key; at the other it is sent once.
    assert nightdesk.service.posts() == 1 or kind == "openai"
    assert nightdesk("cancel", "--all").code == 0
    assert nightdesk.service.live() == 0


def test_a_launch_that_never_arrived_is_proven_and_frees_its_key(nightdesk: Nightdesk) -> None:
    done = nightdesk.launch("dropped")
    assert (done.code, done.json["outcome"]) == (75, "not_sent")
    assert nightdesk.service.stats()["sessions_deleted"]
    assert nightdesk.launch("dropped").json["run"] != done.json["run"]
    assert nightdesk.service.started() == 0


def test_a_session_whose_making_was_not_answered_is_swept(nightdesk: Nightdesk) -> None:
    """The run goes on in another session; the unused one is counted by `doctor` and deleted by the next engine."""
    nightdesk.service.set_faults({"env_create.lost_reply": 1})
    assert nightdesk.launch("good").json["outcome"] == "ok"
    stats = nightdesk.service.stats()
    assert (stats["sessions_made"], stats["sessions_deleted"]) == (2, [])
    assert [level for level, _ in told(nightdesk("doctor", "--json"), "sessions")] == ["warn"]
    served = nightdesk.start("serve")
    until_sync(lambda: nightdesk.service.stats()["sessions_deleted"] != [], what="the unused session is deleted")
    served.terminate()
    served.wait()
    assert [level for level, _ in told(nightdesk("doctor", "--json"), "sessions")] == ["ok"]
    assert nightdesk.service.started() == 1


def test_a_run_that_waits_for_its_client_is_ended(nightdesk: Nightdesk) -> None:
    done = nightdesk.launch("asking")
    assert (done.code, done.json["outcome"]) == (1, "failed")
    assert "needs input" in done.json["note"]
    assert nightdesk.service.live() == 0


@ONLY_ANTHROPIC
def test_doctor_asks_the_service(nightdesk: Nightdesk) -> None:
    config = nightdesk.folder / "nightdesk.toml"
    assert told(nightdesk("doctor", "--json"), "agents") == [("ok", "default: no tool of 6 tasks asks a person")]
    config.write_text(config.read_text().replace("claude-haiku-5-5", "claude-opus-5-5"))
    level, text = told(nightdesk("doctor", "--json"), "agents")[0]
    assert level == "warn"
    assert "the agent uses the model claude-haiku-5-5, but the price of claude-opus-5-5 is applied" in text
    config.write_text(config.read_text().replace("env_7", "nowhere"))
    done = nightdesk("doctor", "--json")
    assert done.code == 2
    assert "the service does not have this environment" in told(done, "agents")[0][1]


@pytest.mark.proofs
def test_a_process_that_is_killed_before_its_answer_leaves_a_run_that_is_found(nightdesk: Nightdesk) -> None:
    """kill -9 between the POST and its answer; the next process finds the run and stops it at its deadline."""
    process = nightdesk.start("run", "unanswered", "--origin", "manual")
    until_sync(lambda: nightdesk.service.started() == 1, what="the launch arrives")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    served = nightdesk.start("serve")
    until_sync(
        lambda: [run["state"] for run in nightdesk.live()] == ["running"], what="the run is found again", within=30
    )
    assert nightdesk("cancel", "--all").code == 0
    assert (nightdesk.service.posts(), nightdesk.service.started(), nightdesk.service.live()) == (1, 1, 0)
    served.terminate()
    served.wait()
