"""Values of the file become exact domain values; missing ones become what `init` would write."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.config import KeySource, Settings, StoreSettings, load
from console.config.example import example_text
from console.config.field_types import PollSeconds, read_decimal, rule_of
from console.config.settings import NotifySettings, OtelSettings, QuietHours
from console.domain.caps import Caps
from console.domain.rollout import RolloutRules
from console.domain.task import CutOff, Guardrails, MissedPolicy
from console.domain.usage import Price
from console.domain.usage import Units as UnitRule
from tests.config.files import CAPS, EVERY_TABLE, FULL_TASK, TASK, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def loaded(folder: Path, text: str) -> Settings:
    return load(written(folder, text))


def test_caps_and_a_task_make_a_complete_file(folder: Path) -> None:
    settings = loaded(folder, CAPS + TASK)

    assert settings.caps == Caps(
        daily_units=2_000_000, monthly_units=None, daily_runs=100, concurrent_runs=8, time_zone="UTC"
    )
    assert settings.units == UnitRule(tokens_per_unit=10_000, cached_weight_milli=100)
    assert settings.rollout == RolloutRules()
    assert settings.providers["default"].poll_ms == 5000
    assert settings.providers["default"].api_key == KeySource(env="GEMINI_API_KEY")
    (task,) = settings.tasks
    assert task.guardrails == Guardrails(max_ms=600_000, budget=50_000)
    assert (task.type, task.target, task.sandbox, task.window) == ("task", "report", "own", "day")
    assert settings.task("report") is task
    assert settings.task("other") is None


def test_every_key_of_every_table_reaches_the_settings(folder: Path) -> None:
    settings = loaded(folder, EVERY_TABLE + TASK)

    assert settings.providers["default"].base_url == "http://127.0.0.1:8080"
    assert (settings.providers["default"].api_version, settings.providers["default"].api_key.env) == ("v1", "OTHER_KEY")
    assert settings.providers["default"].poll_ms == 100
    assert settings.units == UnitRule(tokens_per_unit=500, cached_weight_milli=250)
    assert settings.caps == Caps(
        daily_units=500, monthly_units=10**15, daily_runs=None, concurrent_runs=100_000, time_zone="Europe/Berlin"
    )
    assert settings.prices["model-a"] == Price(
        input_micro=750_000, cached_micro=75_000, output_micro=3_750_000, currency="EUR"
    )
    assert settings.prices["model-b"].cached_micro == 2_000_000, "without a price of its own cached input is dear"
    assert settings.rollout == RolloutRules(
        manual_clean_runs=2, semi_clean_runs=0, demote_on=("timeout",), approval_ms=60_000
    )
    assert not settings.console_schedules
    assert settings.notify == NotifySettings(
        command=(str(folder / "hook"), "--now"),
        webhook="https://hooks.example/x?y=z",
        webhook_file=folder / "hooks",
        apprise_file=Path("/etc/services"),
        kinds=frozenset({"unconfirmed", "finished"}),
        quiet=QuietHours(begin=22 * 60, end=7 * 60 + 30),
        quiet_kinds=frozenset(),
        debounce_ms=500,
        summary=8 * 60,
    )
    assert settings.otel == OtelSettings(
        endpoint="https://traces.example/in/v1/traces", headers_env="TRACES_HEADERS", service_name="night"
    )
    (task,) = settings.tasks
    assert (task.agent, task.model, task.sandbox, task.time_zone) == ("agent-a", "model-a", "remote", "Europe/Berlin")
    assert task.guardrails == Guardrails(
        max_ms=1500, budget=1, cut_off=CutOff.BEFORE, stall_ms=2000, max_attempts=3, retry_on=()
    )


def test_a_task_overrides_the_defaults_and_what_is_launched(folder: Path) -> None:
    (task,) = loaded(folder, CAPS + FULL_TASK).tasks

    assert (task.type, task.target) == ("report", "acme/site: all")
    assert (task.schedule, task.time_zone, task.window, task.missed) == (
        "0 3 * * *",
        "Asia/Tokyo",
        "slot",
        MissedPolicy.LATEST,
    )
    assert task.guardrails == Guardrails(
        max_ms=900_000,
        budget=80_000,
        cut_off=CutOff.BEFORE,
        stall_ms=60_000,
        max_attempts=2,
        daily_units=200_000,
        daily_runs=3,
    )
    assert (task.agent, task.model, task.sandbox) == ("other-agent", "other-model", "env-7")
    assert task.tools == ('{"type":"google_search"}', '{"a":[true],"b":1.5,"type":"mcp_server"}')
    assert task.network == '{"allowlist":[{"domain":"example.org"}]}'
    assert task.system_instruction == "Be brief."


def test_a_prompt_file_is_relative_to_the_config_file(folder: Path) -> None:
    (folder / "prompts").mkdir()
    (folder / "prompts" / "a.md").write_text("Grüße an alle.\n", encoding="utf-8")

    (task,) = loaded(folder, CAPS + '[[tasks]]\nname = "a"\nprompt_file = "prompts/a.md"\n').tasks

    assert task.prompt == "Grüße an alle.\n"


def test_a_schedule_with_several_times_a_day_may_have_the_window_day(folder: Path) -> None:
    (task,) = loaded(folder, CAPS + TASK + 'schedule = "0 3,4 * * *"\nwindow = "day"\n').tasks

    assert task.window == "day"


def test_windows_line_endings_are_read(folder: Path) -> None:
    path = written(folder, "")
    path.write_bytes((CAPS + TASK).replace("\n", "\r\n").encode())

    assert load(path).task("report") is not None


def test_a_key_file_is_named_and_not_read(folder: Path) -> None:
    key = folder / "key"
    key.write_text("canary-key")
    key.chmod(0o600)

    settings = loaded(folder, f'[provider]\napi_key_file = "{key}"\n' + CAPS + TASK)

    assert settings.providers["default"].api_key == KeySource(file=key)
    assert "canary" not in repr(settings)


def test_prompts_never_show_in_a_repr(folder: Path) -> None:
    assert "Write it." not in repr(loaded(folder, CAPS + TASK))


def test_the_file_that_init_writes_loads_as_it_is(folder: Path) -> None:
    settings = loaded(folder, example_text())

    (task,) = settings.tasks
    assert task.schedule is None, "the example runs by hand"
    assert settings.prices == {}, "nobody else's prices are taken for ours"


@given(st.integers(1000, 2_592_000_000))
def test_thousandths_are_kept_exactly(scaled: int) -> None:
    assert read_decimal(Decimal(scaled) / 1000, places=3, least="1", most="2592000") == scaled


@pytest.mark.parametrize(("written", "stored"), [("0.1", 100), ("1e2", 100_000), ("300", 300_000)])
def test_seconds_are_stored_in_milliseconds(written: str, stored: int) -> None:
    rule = rule_of(PollSeconds)
    assert rule is not None
    assert rule.read(Decimal(written)) == stored


def test_the_state_folder_starts_at_the_folder_of_the_file(folder: Path, home: Path) -> None:
    assert loaded(folder, CAPS + TASK).store == StoreSettings()
    named = loaded(folder, '[store]\nstate_dir = "state"\nname = "prod"\n' + CAPS + TASK).store
    assert named == StoreSettings(state_dir=folder / "state", name="prod")
    assert loaded(folder, '[store]\nstate_dir = "~/runs"\n' + CAPS + TASK).store.state_dir == home / "runs"
    assert loaded(folder, '[store]\nstate_dir = "/srv/../var/nd"\n' + CAPS + TASK).store.state_dir == Path("/var/nd")


def test_a_relative_config_path_gives_an_absolute_state_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(folder, '[store]\nstate_dir = "state"\n' + CAPS + TASK)
    monkeypatch.chdir(folder)
    assert load(Path(path.name)).store.state_dir == folder / "state"


@pytest.mark.parametrize("state_dir", [Path("/srv/night desk"), Path('/srv/"quoted"\\back'), Path("/srv/größe")])
def test_the_file_that_init_writes_can_name_the_state_folder(folder: Path, state_dir: Path) -> None:
    assert loaded(folder, example_text(state_dir)).store.state_dir == state_dir


def test_a_proxy_and_certificates_are_named_in_the_file(folder: Path) -> None:
    authorities = folder / "ca.pem"
    authorities.write_text("-----BEGIN CERTIFICATE-----\n")
    table = '[provider]\nproxy = "http://proxy.example:3128/"\nca_file = "ca.pem"\n'
    provider = loaded(folder, table + CAPS + TASK).providers["default"]
    assert (provider.proxy, provider.ca_file) == ("http://proxy.example:3128", authorities)
