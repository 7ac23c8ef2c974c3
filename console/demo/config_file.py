"""Writes the settings of the demo as a config file, with which commands in another terminal reach its runs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from console.domain.caps import Caps
from console.domain.task import Task
from console.domain.usage import Price
from console.engine.settings import EngineSettings, ServiceSettings
from console.simulated import KEY, SIMULATED


def write_config(folder: Path, settings: EngineSettings, url: str) -> Path:
    """Write nightdesk.toml and a key file into `folder`, both with mode 0600. Return the path of the first."""
    key, config = folder / "key", folder / "nightdesk.toml"
    for path, text in ((key, KEY), (config, config_text(settings, url, key))):
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    return config


def config_text(settings: EngineSettings, url: str, key: Path) -> str:
    """Return the TOML text that `console.config` reads as these settings, with the simulator at `url`."""
    tables = [
        _provider(settings.services[0], url, key),
        _table("[units]", tokens_per_unit=settings.units.tokens_per_unit),
        _caps(settings.caps),
        *(_price(model, price) for model, price in settings.prices.items()),
        *map(_task, settings.tasks),
    ]
    return "\n".join(tables)


def _provider(service: ServiceSettings, url: str, key: Path) -> str:
    simulated = SIMULATED[service.kind]
    environment = {simulated.environment_key: simulated.environment} if simulated.environment else {}
    return _table(
        "[provider]",
        kind=service.kind,
        base_url=url,
        api_key_file=str(key),
        poll_seconds=Decimal(service.poll_ms) / 1000,
        agent=simulated.agent,
        model=simulated.model,
        **environment,
    )


def _caps(caps: Caps) -> str:
    return _table(
        "[caps]",
        daily_units=_units(caps.daily_units),
        monthly_units=_units(caps.monthly_units),
        daily_runs=_count(caps.daily_runs),
        concurrent_runs=_count(caps.concurrent_runs),
        time_zone=caps.time_zone,
    )


def _price(model: str, price: Price) -> str:
    return _table(
        f"[prices.{json.dumps(model)}]",
        input=Decimal(price.input_micro) / 10**6,
        cached=Decimal(price.cached_micro) / 10**6,
        output=Decimal(price.output_micro) / 10**6,
        currency=price.currency,
    )


def _task(task: Task) -> str:
    rails = task.guardrails
    schedule = {} if task.schedule is None else {"schedule": task.schedule, "window": task.window}
    return _table(
        "[[tasks]]",
        name=task.name,
        type=task.type,
        target=task.target,
        prompt=task.prompt,
        agent=task.agent,
        model=task.model,
        time_zone=task.time_zone,
        **schedule,
        max_seconds=Decimal(rails.max_ms) / 1000,
        budget_units=_units(rails.budget),
        cut_off=rails.cut_off.value,
        stall_seconds=Decimal(rails.stall_ms) / 1000,
    )


def _units(milli: int | None) -> Decimal | str:
    return "unlimited" if milli is None else Decimal(milli) / 1000


def _count(count: int | None) -> int | str:
    return "unlimited" if count is None else count


def _table(head: str, **values: str | int | Decimal) -> str:
    """Format one table. An ASCII JSON string is a valid TOML string."""
    lines = [f"{name} = {json.dumps(value) if isinstance(value, str) else value}" for name, value in values.items()]
    return "\n".join([head, *lines, ""])
