"""Convert `[[tasks]]` entries to tasks, applying defaults and checking what spans several keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from console.config.errors import ErrorCollector
from console.config.providers import Provider
from console.config.schema import MAX_TEXT, DefaultsTable, TaskTable
from console.config.toml_positions import KeyPath
from console.domain.server_limit import ServerLimitKind
from console.domain.task import DEFAULT_PROVIDER, CutOff, Guardrails, MissedPolicy, Task, canonical_json
from console.domain.text import sanitize
from console.domain.usage import Price
from console.provider.services import TRAITS
from console.trusted_files import WRITABLE_BY_OTHERS, Unreadable, read_bounded

T = TypeVar("T")


class TaskReader:
    """Converts task tables to tasks, with the defaults that all tasks of one file share."""

    def __init__(
        self,
        *,
        folder: Path,
        providers: Mapping[str, Provider],
        defaults: DefaultsTable,
        prices: Mapping[str, Price],
        zone: str,
        errors: ErrorCollector,
    ) -> None:
        self._folder = folder
        self._providers = providers
        self._prices = prices
        self._defaults = defaults
        self._zone = zone
        self._errors = errors
        self.prompt_files: list[Path] = []
        """The prompt files that were read."""

    def read(self, table: TaskTable, where: KeyPath) -> Task | None:
        """Return the task; None if an error was added."""
        prompt = self._prompt(table, where)
        window = self._window(table, where)
        provider = self._provider(table, where)
        if provider is None:
            return None
        tools = self._canonical(_or(table.tools, provider.tools), (*where, "tools"))
        network = self._canonical(_or(table.network, provider.network), (*where, "network"))
        if prompt is None or window is None or tools is None or network is None:
            return None
        model = _or(table.model, provider.table.model)
        if TRAITS[provider.table.kind].server_limit is ServerLimitKind.MONEY and model not in self._prices:
            # The limit at the service is promised in money.
            accepted = f'[prices."{sanitize(model)}"] with input and output'
            self._errors.add(where, f'uses the model "{sanitize(model)}", which has no price', accepted=accepted)
            return None
        return Task(
            name=table.name,
            type=table.type,
            target=_or(table.target, table.name),
            prompt=prompt,
            provider=provider.name,
            agent=_or(table.agent, provider.agent),
            model=model,
            environment=provider.environment,
            sandbox=_or(table.sandbox, provider.sandbox),
            tools=tools,
            network=network[0] if network else None,
            system_instruction=_or(table.system_instruction, provider.table.system_instruction),
            guardrails=self._guardrails(table),
            schedule=table.schedule.expression if table.schedule else None,
            time_zone=_or(table.time_zone, self._zone),
            window=window,
            missed=MissedPolicy(table.missed),
        )

    def _provider(self, table: TaskTable, where: KeyPath) -> Provider | None:
        """Return the provider of a task; None if an error was added, for the task or for all providers."""
        known = ", ".join(f'"{name}"' for name in self._providers)
        name = table.provider
        if name is None:
            name = DEFAULT_PROVIDER if len(self._providers) != 1 else next(iter(self._providers))
        provider = self._providers.get(name)
        if provider is None:
            complaint = "is missing" if table.provider is None else f'is "{name}", which does not exist'
            self._errors.add((*where, "provider"), complaint, accepted=known)
            return None
        for key, instead in provider.foreign_keys.items():
            if getattr(table, key) is not None:
                complaint = f'is not a setting of a task with the provider "{name}" ({provider.table.kind})'
                self._errors.add((*where, key), complaint, accepted=instead)
                return None
        return provider

    def _guardrails(self, table: TaskTable) -> Guardrails:
        defaults = self._defaults
        return Guardrails(
            max_ms=_or(table.max_seconds, defaults.max_seconds),
            budget=_or(table.budget_units, defaults.budget_units),
            cut_off=CutOff(_or(table.cut_off, defaults.cut_off)),
            stall_ms=_or(table.stall_seconds, defaults.stall_seconds),
            max_attempts=_or(table.max_attempts, defaults.max_attempts),
            retry_on=_or(table.retry_on, defaults.retry_on),
            daily_units=table.daily_units,
            daily_runs=table.daily_runs,
        )

    def _window(self, table: TaskTable, where: KeyPath) -> str | None:
        if table.window is None and table.schedule is not None and table.schedule.repeats_in_a_day:
            self._errors.add(
                (*where, "window"),
                "is missing: this schedule can fire more than once in a day",
                accepted='"day" (one run a day) or "slot" (one run for each instant)',
            )
            return None
        return table.window or "day"

    def _prompt(self, table: TaskTable, where: KeyPath) -> str | None:
        if (table.prompt is None) == (table.prompt_file is None):
            given = "neither prompt nor prompt_file" if table.prompt is None else "both prompt and prompt_file"
            self._errors.add(where, f"has {given}", accepted="exactly one of the two")
            return None
        if table.prompt is not None:
            return self._bounded(table.prompt, (*where, "prompt"))
        return self._prompt_file(table.prompt_file or "", (*where, "prompt_file"))

    def _prompt_file(self, name: str, where: KeyPath) -> str | None:
        accepted = "a UTF-8 file of at most 1 MiB that nobody else may write (relative to the config file)"
        try:
            path = self._folder / Path(name).expanduser()
            content = read_bounded(path, most=MAX_TEXT, forbidden_mode=WRITABLE_BY_OTHERS)
            text = content.decode("utf-8-sig")
            self.prompt_files.append(path)
        except Unreadable as error:
            self._errors.add(where, f"{path} {error}", accepted=accepted)
        except UnicodeDecodeError:
            self._errors.add(where, f"{path} is not UTF-8", accepted=accepted)
        except RuntimeError:
            self._errors.add(where, "names the home folder of an unknown user", accepted=accepted)
        else:
            if text.strip():
                return text
            self._errors.add(where, f"{path} is empty", accepted=accepted)
        return None

    def _bounded(self, prompt: str, where: KeyPath) -> str | None:
        complaint = "is empty" if not prompt.strip() else "is too long" if len(prompt.encode()) > MAX_TEXT else ""
        if complaint:
            self._errors.add(where, complaint, accepted="a text of at most 1 MiB")
            return None
        return prompt

    def _canonical(self, value: Any, where: KeyPath) -> tuple[str, ...] | None:
        """Return the canonical JSON of each entry of a tuple, or of one value; empty for None."""
        entries: Iterable[Any] = value if isinstance(value, tuple) else () if value is None else (value,)
        try:
            return tuple(canonical_json(_plain(entry)) for entry in entries)
        except (TypeError, ValueError):
            complaint = "holds a value that JSON cannot express"
            self._errors.add(where, complaint, accepted="texts, numbers, true, false, lists")
            return None


def check_distinct(tasks: Sequence[tuple[Task, KeyPath]], errors: ErrorCollector) -> None:
    """Add an error for each name, and for each pair of type and target, that occurs twice."""
    names: dict[str, KeyPath] = {}
    targets: dict[tuple[str, str], str] = {}
    for task, where in tasks:
        if task.name in names:
            errors.add((*where, "name"), f'"{task.name}" occurs twice', accepted="one entry per name")
            continue
        names[task.name] = where
        other = targets.setdefault((task.type, task.target), task.name)
        if other != task.name:
            errors.add(
                where,
                f'"{task.name}" has the same type and target as "{other}", so both would share their keys',
                accepted="a type and target of its own",
            )


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _plain(value: Any) -> Any:
    """Convert the decimals as which numbers are read to floats, which JSON can express."""
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {name: _plain(entry) for name, entry in value.items()}
        case list():
            return [_plain(entry) for entry in value]
        case _:
            return value
