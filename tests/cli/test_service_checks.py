"""`doctor` asks services that launch in sessions for tools that wait for a person and for sessions never used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from console.config import Settings, load
from console.doctor.runner import Check, Level, Subject
from console.doctor.service_checks import SERVICE_CHECKS
from console.provider.contract import RUN_LABEL
from console.provider.http.secret import Secret
from console.provider.openai.adapter import OpenAIProvider
from console.simulator.server import SimulatorThread
from tests.clock import ManualClock
from tests.engine.test_due import NOW
from tests.provider.openai.examples import order

AGENTS, SESSIONS = SERVICE_CHECKS
CONFIG = """
[provider]
kind = "openai"
base_url = "{url}"
model = "gpt-6-astra"
[caps]
daily_units = 1000
monthly_units = 10000
daily_runs = 100
concurrent_runs = 8
[[tasks]]
name = "quiet"
prompt = "Canary prompt: write the nightly report and open a draft."
[[tasks]]
name = "asks"
prompt = "Ask."
tools = [{{ type = "function", name = "ask_operator" }}, {{ type = "web_search" }}]
"""


@pytest.fixture
def service() -> Iterator[SimulatorThread]:
    with SimulatorThread(face="openai") as running:
        yield running


def found(check: Check, folder: Path, url: str, *, key: str = "secret", extra: str = "") -> list[tuple[Level, str]]:
    file = folder / "nightdesk.toml"
    file.write_text(CONFIG.format(url=url) + extra, encoding="utf-8")
    file.chmod(0o600)

    def load_settings() -> Settings:
        return load(file)

    subject = Subject(
        folder=folder / "state",
        config=file,
        config_origin="a test",
        other_folders=(),
        folder_is_lost=False,
        load_settings=load_settings,
        environment={"OPENAI_API_KEY": key} if key else {},
        stdin=StringIO(),
        stdout=StringIO(),
        now=ManualClock(NOW).now(),
    )
    return list(check.run(subject))


def prepare(url: str) -> None:
    """Make a session that is never started."""

    async def make() -> None:
        provider = OpenAIProvider(base_url=url, secret=Secret("secret"))
        await provider.prepare(order(prepared_id=None))
        await provider.aclose()

    asyncio.run(make())


def test_tools_that_wait_are_named_with_their_task(service: SimulatorThread, tmp_path: Path) -> None:
    assert found(AGENTS, tmp_path, service.url) == [
        (Level.WARN, "task asks: the function ask_operator waits for a result from its client")
    ]
    missing = '[[tasks]]\nname = "lost"\nprompt = "x"\nagent = "nobody"\n'
    told = found(AGENTS, tmp_path, service.url, extra=missing)
    assert any(level is Level.FAIL and "does not have this agent" in message for level, message in told), told
    assert service.state.stats()["sessions_made"] == 0


def test_sessions_that_were_never_used_are_counted(service: SimulatorThread, tmp_path: Path) -> None:
    assert found(SESSIONS, tmp_path, service.url) == [(Level.OK, "default: every session was used")]
    prepare(service.url)
    ((level, message),) = found(SESSIONS, tmp_path, service.url)
    assert level is Level.WARN
    assert message.startswith("default: 1 session prepared and never used")
    assert RUN_LABEL not in message


def test_a_service_that_does_not_answer_is_one_line(service: SimulatorThread, tmp_path: Path) -> None:
    service.state.set_faults(["401"])
    ((level, message),) = found(SESSIONS, tmp_path, service.url)
    assert level is Level.WARN
    assert message.startswith("default: the service cannot be asked: HTTP 401")
    agent = '[[tasks]]\nname = "saved"\nprompt = "x"\nagent = "agent_1"\n'
    lines = found(AGENTS, tmp_path, service.url, extra=agent)
    assert [level for level, message in lines if message.startswith("task saved: HTTP 401")] == [Level.FAIL]


@pytest.mark.parametrize("check", SERVICE_CHECKS, ids=lambda check: check.name)
def test_without_a_key_nothing_is_asked(service: SimulatorThread, tmp_path: Path, check: Check) -> None:
    assert found(check, tmp_path, service.url, key="") == []
    assert service.state.calls("env_list") == service.state.calls("agent") == 0
