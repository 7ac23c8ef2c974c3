"""`doctor` names the tasks that can never be launched, retried or approved, and the models without a price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from console.config import ProviderSettings, Settings
from console.config.settings import KeySource
from console.doctor.runner import Level, Subject
from console.doctor.task_checks import limits, prices
from console.domain.caps import Caps
from console.domain.rollout import RolloutRules
from console.domain.task import Guardrails, Task
from console.domain.usage import Price, Units
from tests.clock import ManualClock
from tests.engine.test_due import NOW

CAPS = Caps(daily_units=2_000_000, monthly_units=20_000_000, daily_runs=100, concurrent_runs=8, time_zone="UTC")
TASK = Task(name="t", target="t", prompt="p", agent="a", model="m", guardrails=Guardrails(max_ms=60_000, budget=50_000))
PROVIDER = ProviderSettings(
    name="default", kind="gemini", base_url="https://x", api_version="v1", api_key=KeySource(env="K")
)
PRICE = Price(input_micro=1, cached_micro=1, output_micro=1, currency="USD")


def found(
    check: object = limits, *, task: Task = TASK, caps: Caps = CAPS, approval_ms: int = 43_200_000, priced: bool = False
) -> Sequence[tuple[Level, str]]:
    settings = Settings(
        path=Path("nightdesk.toml"),
        providers={"default": PROVIDER},
        tasks=(task,),
        caps=caps,
        units=Units(),
        prices={"m": PRICE} if priced else {},
        rollout=RolloutRules(approval_ms=approval_ms),
        console_schedules=True,
    )
    subject = Subject(
        folder=Path("/nowhere"),
        config=Path("nightdesk.toml"),
        config_origin="a test",
        other_folders=(),
        folder_is_lost=False,
        load_settings=lambda: settings,
        environment={},
        stdin=StringIO(),
        stdout=StringIO(),
        now=ManualClock(NOW).now(),
    )
    return list(check(subject))  # type: ignore[operator]  # a check of `doctor`


def guarded(**more: object) -> Task:
    return replace(TASK, guardrails=replace(TASK.guardrails, **more))  # type: ignore[arg-type]  # fields by name


def test_a_task_that_fits_is_no_finding() -> None:
    assert found() == [(Level.OK, "1 task, each fits into every cap")]


@pytest.mark.parametrize(
    ("task", "caps", "words"),
    [
        (guarded(budget=5_000_000), CAPS, "never fits: its budget (5000.0) is larger than daily_units (2000.0)"),
        (guarded(daily_units=10_000), CAPS, "never fits: its budget (50.0) is larger than its daily_units (10.0)"),
        (TASK, replace(CAPS, concurrent_runs=0), "concurrent_runs is 0: nothing is ever launched"),
        (guarded(daily_runs=0), CAPS, "never fits: one of its own caps is 0"),
        (guarded(daily_runs=1, max_attempts=3), CAPS, "max_attempts 3 never happen in a day: its daily_runs is 1"),
        (guarded(max_attempts=3, retry_on=()), CAPS, "max_attempts has no effect: retry_on is empty"),
        (
            replace(TASK, schedule="* * * * *", window="slot"),
            CAPS,
            "at stage semi its proposals expire after 60 s, which is hardly time to approve one",
        ),
    ],
)
def test_what_can_never_work_is_a_warning(task: Task, caps: Caps, words: str) -> None:
    ((level, message),) = found(task=task, caps=caps)
    assert level is Level.WARN
    assert message.endswith(words)


def test_a_cost_that_nobody_knows_is_a_warning() -> None:
    ((level, message),) = found(prices)
    assert level is Level.WARN
    assert 'the config has no [prices."m"]' in message
    assert found(prices, priced=True) == [(Level.OK, "the config has the price of every model")]
