"""Read nightdesk.toml completely, or use nothing of it and report every error."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from console.config.errors import ConfigError, ErrorCollector, decode
from console.config.field_types import nearest, quoted
from console.config.key_bindings import KEY_ACCEPTED, KEY_IDS, collisions, is_key, near_key, split_keys
from console.config.providers import Provider, ProviderReader, check_services
from console.config.schema import (
    SECTIONS,
    CapsTable,
    ConsoleTable,
    DefaultsTable,
    NotifyTable,
    OtelTable,
    PriceTable,
    RolloutTable,
    SchedulerTable,
    StoreTable,
    Table,
    TaskTable,
    UnitsTable,
)
from console.config.settings import (
    QUIET_KINDS,
    TOLD_KINDS,
    ConsoleSettings,
    NotifySettings,
    OtelSettings,
    QuietHours,
    Settings,
)
from console.config.store import read_store
from console.config.tasks import TaskReader, check_distinct
from console.config.toml_positions import KeyPath, lines_of
from console.domain.caps import Caps
from console.domain.rollout import RolloutRules
from console.domain.task import Task
from console.domain.text import sanitize
from console.domain.usage import Price, Units, round_up
from console.trusted_files import MAX_CONFIG, WRITABLE_BY_OTHERS, Unreadable, read_bounded

T = TypeVar("T", bound=Table)


def load(path: Path, themes: Callable[[], Collection[str]] | None = None) -> Settings:
    """Load the settings from the file at `path`. Raises ConfigError with one line per error.

    `themes` returns the names that `theme` may have; None where they are not known.
    """
    try:
        content = read_bounded(path, most=MAX_CONFIG, forbidden_mode=WRITABLE_BY_OTHERS)
    except Unreadable as error:
        accepted = "accepted: a readable file of yours that nobody else may write (mode 0600 or 0644)"
        raise ConfigError([f"{path}: the file {error}; {accepted}"]) from None
    try:
        # Some editors write a byte order mark, which TOML 1.1 allows and tomllib does not.
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        document = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: the file is not UTF-8; accepted: TOML 1.0"]) from None
    # Includes what overstrains the parser: a number of a million digits, or brackets nested a thousand deep.
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ConfigError([_not_toml(path, error)]) from None
    return _Reader(path, document, ErrorCollector(path, lines_of(text)), themes).settings()


def _not_toml(path: Path, error: Exception) -> str:
    where = re.search(r"\s*\(at line (\d+), column (\d+)\)", str(error))
    place = f"{path}:{where[1]}" if where else str(path)
    complaint = sanitize(str(error).replace(where[0], "") if where else str(error), limit=200)
    twice = re.fullmatch(r"Cannot declare \('(\w+)',\) twice", complaint)
    if twice is not None and twice[1] == "tasks":
        return f"{place}: [tasks] stands twice; accepted: [[tasks]] with double brackets for each task"
    if twice is not None:
        return f"{place}: the table [{twice[1]}] stands twice; accepted: one table of each name"
    return f"{place}: not TOML: {complaint}; accepted: TOML 1.0"


class _Reader:
    """Converts one parsed document to settings."""

    def __init__(
        self,
        path: Path,
        document: Mapping[str, Any],
        errors: ErrorCollector,
        themes: Callable[[], Collection[str]] | None,
    ) -> None:
        self._path = path
        self._themes = themes
        self._document = document
        self._errors = errors

    def settings(self) -> Settings:
        for name in self._document.keys() - set(SECTIONS):
            self._errors.unknown((name,), SECTIONS)
        reader = ProviderReader(self._document, self._errors, self._path_from)
        providers = reader.read()
        store = self._section("store", StoreTable)
        units = self._section("units", UnitsTable)
        caps = self._section("caps", CapsTable)
        defaults = self._section("defaults", DefaultsTable)
        rollout = self._section("rollout", RolloutTable)
        scheduler = self._section("scheduler", SchedulerTable)
        console = self._section("console", ConsoleTable)
        notify = self._notify()
        otel = self._section("otel", OtelTable)
        if console is not None:
            self._check_console(console)
        prices = self._prices()
        services = {name: reader.settings(provider) for name, provider in providers.items()}
        check_services(services, self._errors)
        located = read_store(store or StoreTable(), self._errors, self._path_from)
        # An invalid section has been reported already; its defaults only allow the tasks to be checked as well.
        tasks, prompt_files = self._tasks(providers, defaults or DefaultsTable(), caps, prices)
        if self._errors or not (
            providers and store and units and caps and rollout and scheduler and console and notify and otel
        ):
            raise self._errors.error()
        return Settings(
            path=self._path,
            prompt_files=prompt_files,
            providers=services,
            store=located,
            tasks=tasks,
            caps=_caps(caps),
            units=_units(units),
            prices=prices,
            rollout=_rollout(rollout),
            console_schedules=scheduler.console,
            console=ConsoleSettings(
                theme=console.theme,
                slow=console.slow,
                mouse=console.mouse,
                bell=console.bell,
                keys=dict(console.keys),
            ),
            notify=notify,
            otel=OtelSettings(endpoint=otel.endpoint, headers_env=otel.headers_env, service_name=otel.service_name),
        )

    def _section(self, name: str, table_type: type[T]) -> T | None:
        return decode(table_type, self._document.get(name, {}), (name,), self._errors)

    def _notify(self) -> NotifySettings | None:
        table = self._section("notify", NotifyTable)
        if table is None:
            return None
        kinds = TOLD_KINDS if table.kinds is None else table.kinds
        return NotifySettings(
            command=self._command(table.command) if table.command else (),
            webhook=table.webhook,
            webhook_file=self._named_file(table.webhook_file, ("notify", "webhook_file")),
            apprise_file=self._named_file(table.apprise_file, ("notify", "apprise_file")),
            kinds=kinds,
            quiet=QuietHours(begin=table.quiet_hours[0], end=table.quiet_hours[1]) if table.quiet_hours else None,
            quiet_kinds=QUIET_KINDS if table.quiet_kinds is None else table.quiet_kinds,
            debounce_ms=table.debounce_seconds,
            summary=table.daily_summary,
        )

    def _command(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The words; a program with a slash is a path like every other, any other one is looked for in PATH."""
        program = self._path_from(words[0], ("notify", "command")) if "/" in words[0] else words[0]
        return str(program), *words[1:]

    def _named_file(self, text: str | None, where: KeyPath) -> Path | None:
        return None if text is None else self._path_from(text, where)

    def _check_console(self, table: ConsoleTable) -> None:
        """Report keys that nothing listens to, keys with two meanings on one screen, and themes that are not there."""
        known = {}
        for identity, keys in table.keys.items():
            where = ("console", "keys", identity)
            if identity not in KEY_IDS:
                self._errors.unknown(where, KEY_IDS)
                continue
            wrong = [key for key in split_keys(keys) if not is_key(key)]
            for key in wrong:
                self._errors.add(where, f"{quoted(key)} is not a key", accepted=KEY_ACCEPTED, near=near_key(key))
            if not wrong:
                known[identity] = keys
        for identity, key, other in collisions(known):
            self._errors.add(
                ("console", "keys", identity),
                f"{quoted(key)} is also the key of {other} on the same screen",
                accepted="a key that is free there, or another key for both",
            )
        themes = self._themes() if table.theme is not None and self._themes is not None else None
        if table.theme is not None and themes is not None and table.theme not in themes:
            near = nearest(table.theme, themes)
            self._errors.add(
                ("console", "theme"),
                f"{quoted(table.theme)} is not a theme",
                accepted=", ".join(sorted(themes)),
                near=near,
            )

    def _prices(self) -> dict[str, Price]:
        raw = self._document.get("prices", {})
        if not isinstance(raw, Mapping):
            self._errors.add(("prices",), "is not a table", accepted='tables such as [prices."gemini-3.8-flash"]')
            return {}
        prices = {}
        for model, entry in raw.items():
            table = decode(PriceTable, entry, ("prices", model), self._errors)
            if table is not None:
                prices[model] = _price(table)
        return prices

    def _path_from(self, text: str, where: KeyPath) -> Path | None:
        """Return an absolute path; a relative one starts at the folder of the config file."""
        try:
            return Path(os.path.abspath(self._path.parent / Path(text).expanduser()))
        except RuntimeError:
            self._errors.add(where, "names the home folder of an unknown user", accepted="a path")
            return None

    def _tasks(
        self,
        providers: Mapping[str, Provider],
        defaults: DefaultsTable,
        caps: CapsTable | None,
        prices: Mapping[str, Price],
    ) -> tuple[tuple[Task, ...], tuple[Path, ...]]:
        """Return the tasks, and the files in which their prompts are."""
        raw = self._document.get("tasks", [])
        if not isinstance(raw, list):
            self._errors.add(("tasks",), "is not a list of tables", accepted="[[tasks]] with double brackets")
            return (), ()
        reader = TaskReader(
            folder=self._path.parent,
            providers=providers,
            defaults=defaults,
            prices=prices,
            zone=caps.time_zone if caps else "UTC",
            errors=self._errors,
        )
        tasks: list[tuple[Task, KeyPath]] = []
        for index, entry in enumerate(raw):
            where = ("tasks", index)
            table = decode(TaskTable, entry, where, self._errors)
            task = reader.read(table, where) if table is not None else None
            if task is not None:
                tasks.append((task, where))
        check_distinct(tasks, self._errors)
        return tuple(task for task, _ in tasks), tuple(reader.prompt_files)


def _caps(table: CapsTable) -> Caps:
    return Caps(
        daily_units=table.daily_units,
        monthly_units=table.monthly_units,
        daily_runs=table.daily_runs,
        concurrent_runs=table.concurrent_runs,
        time_zone=table.time_zone,
    )


def _units(table: UnitsTable) -> Units:
    return Units(tokens_per_unit=table.tokens_per_unit, cached_weight_milli=table.cached_weight)


def _rollout(table: RolloutTable) -> RolloutRules:
    return RolloutRules(
        manual_clean_runs=table.manual_clean_runs,
        semi_clean_runs=table.semi_clean_runs,
        demote_on=table.demote_on,
        approval_ms=table.approval_seconds,
    )


def _price(table: PriceTable) -> Price:
    cached = table.input if table.cached is None else table.cached
    return Price(
        input_micro=table.input,
        cached_micro=cached,
        output_micro=table.output,
        cache_write_micro=table.cache_write,
        search_micro=round_up(table.per_1000_searches, 1000),
        hour_micro=table.per_hour,
        currency=table.currency,
    )
