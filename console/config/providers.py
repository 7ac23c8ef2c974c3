"""Convert `[provider]` and `[providers.NAME]` to settings, and say what a task takes from its provider.

A lone `[provider]` is the one named `default`. Which kinds exist depends on the adapters of this program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.config.errors import ErrorCollector, decode
from console.config.field_types import described, quoted
from console.config.schema import (
    PROVIDER_TABLES,
    AnthropicTable,
    AnyProviderTable,
    GeminiTable,
    OpenAITable,
)
from console.config.settings import KeySource, ProviderSettings
from console.config.store import checked_certificates
from console.config.toml_positions import KeyPath
from console.domain.task import DEFAULT_PROVIDER, NAME
from console.provider.services import TRAITS
from console.trusted_files import MAX_CONFIG, OPEN_TO_OTHERS, Unreadable, read_bounded

KEY_VARIABLES = {"gemini": "GEMINI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
"""The environment variable of the key, by kind."""
KINDS = tuple(kind for kind in PROVIDER_TABLES if kind in TRAITS)

PathFrom = Callable[[str, KeyPath], Path | None]
"""Makes an absolute path of one in the file; None if an error was added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider as the file describes it."""

    name: str
    table: AnyProviderTable
    where: KeyPath

    @property
    def agent(self) -> str:
        """The agent of tasks that choose none; `ID@VERSION` where the file chooses a version."""
        match self.table:
            case AnthropicTable(agent=agent, agent_version=version):
                return agent if version is None else f"{agent}@{version}"
            case OpenAITable(agent=agent):
                return agent or ""
            case GeminiTable(agent=agent):
                return agent

    @property
    def environment(self) -> str:
        """The environment of its tasks; empty where the kind has no such setting."""
        match self.table:
            case AnthropicTable(environment=environment):
                return environment
            case OpenAITable(container=container):
                return container
            case GeminiTable():
                return ""

    @property
    def sandbox(self) -> str:
        """The sandbox of tasks that choose none."""
        return self.table.sandbox if isinstance(self.table, GeminiTable) else "own"

    @property
    def tools(self) -> tuple[dict[str, Any], ...]:
        """The tools of tasks that choose none."""
        return () if isinstance(self.table, AnthropicTable) else self.table.tools

    @property
    def network(self) -> object:
        """The network setting of tasks that choose none."""
        return None if isinstance(self.table, AnthropicTable) else self.table.network

    @property
    def foreign_keys(self) -> Mapping[str, str]:
        """Keys that a task with this provider cannot set, each with the place where the setting stands instead."""
        match self.table:
            case AnthropicTable():
                return {
                    "sandbox": "each run gets a session of its own",
                    "tools": "the tools of the agent at the service",
                    "network": "the network of the environment at the service",
                }
            case OpenAITable():
                return {"sandbox": "each run gets a session of its own"}
            case GeminiTable(launch="trigger"):
                return {"sandbox": 'launch = "trigger" gives each run a sandbox of its own'}
            case GeminiTable():
                return {}


class ProviderReader:
    """Reads the providers of one document."""

    def __init__(self, document: Mapping[str, Any], errors: ErrorCollector, path_from: PathFrom) -> None:
        self._document = document
        self._errors = errors
        self._path_from = path_from

    def read(self) -> dict[str, Provider]:
        """Return the providers by name. Those for which an error was added hold defaults."""
        found: dict[str, Provider] = {}
        several = self._document.get("providers", {})
        if not isinstance(several, Mapping):
            self._errors.add(("providers",), f"is {described(several)}", accepted="tables such as [providers.name]")
            several = {}
        if "provider" in self._document or not several:
            self._add(found, DEFAULT_PROVIDER, self._document.get("provider", {}), ("provider",))
        for name, raw in several.items():
            where = ("providers", name)
            if NAME.match(name) is None:
                self._errors.add(where, "is not a name", accepted="1 to 64 characters of A-Z a-z 0-9 . _ -")
            elif name == DEFAULT_PROVIDER and "provider" in self._document:
                self._errors.add(where, "is the same as [provider]", accepted="one of the two")
            else:
                self._add(found, name, raw, where)
        return found

    def _add(self, found: dict[str, Provider], name: str, raw: object, where: KeyPath) -> None:
        kind = raw.get("kind", "gemini") if isinstance(raw, Mapping) else "gemini"
        if kind not in KINDS:
            accepted = ", ".join(f'"{known}"' for known in KINDS)
            shown = quoted(kind) if isinstance(kind, str) and 0 < len(kind) <= 20 else described(kind)
            self._errors.add((*where, "kind"), f"is {shown}", accepted=accepted)
            found[name] = Provider(name=name, table=GeminiTable(), where=where)
            return
        table = decode(PROVIDER_TABLES[kind], raw, where, self._errors)
        # A table with errors has been reported; its defaults only allow the tasks to be checked as well.
        found[name] = Provider(name=name, table=table or GeminiTable(), where=where)

    def settings(self, provider: Provider) -> ProviderSettings:
        """Return the settings of a provider; errors of its files are added."""
        table, least = provider.table, TRAITS[provider.table.kind].least_poll_ms
        if table.poll_seconds < least and table.base_url.startswith("https:"):
            where = (*provider.where, "poll_seconds")
            self._errors.add(where, "is too short for this service", accepted=f"{least / 1000:g} or more")
        launch = table.launch if isinstance(table, GeminiTable) else "direct"
        if launch == "trigger" and provider.sandbox != "own":
            where = (*provider.where, "sandbox")
            self._errors.add(where, 'cannot be chosen with launch = "trigger"', accepted='"own"')
        return ProviderSettings(
            name=provider.name,
            kind=table.kind,
            base_url=table.base_url,
            api_version=table.api_version if isinstance(table, GeminiTable) else "v1",
            account=table.account,
            api_key=self._key_source(provider),
            proxy=table.proxy,
            ca_file=self._ca_file(provider),
            launch=launch,
            poll_ms=table.poll_seconds,
        )

    def _key_source(self, provider: Provider) -> KeySource:
        table, where = provider.table, (*provider.where, "api_key_file")
        if table.api_key_file is None:
            return KeySource(env=table.api_key_env or KEY_VARIABLES[table.kind])
        if table.api_key_env is not None:
            self._errors.add(where, "is set as well as api_key_env", accepted="one of the two")
        file = self._path_from(table.api_key_file, where)
        if file is None:
            return KeySource()
        try:
            # A missing file is no error here: it only stops commands that need the key.
            if os.path.exists(file):
                read_bounded(file, most=MAX_CONFIG, forbidden_mode=OPEN_TO_OTHERS)
        except Unreadable as error:
            self._errors.add(where, str(error), accepted="a file of yours with mode 0600")
        return KeySource(file=file)

    def _ca_file(self, provider: Provider) -> Path | None:
        if provider.table.ca_file is None:
            return None
        where = (*provider.where, "ca_file")
        path = self._path_from(provider.table.ca_file, where)
        return None if path is None else checked_certificates(path, where, self._errors)


def check_services(settings: Mapping[str, ProviderSettings], errors: ErrorCollector) -> None:
    """Add an error for each provider that is the same service as one before it: its runs could not be told apart."""
    known: dict[str, str] = {}
    for name, provider in settings.items():
        other = known.setdefault(provider.service, name)
        if other != name:
            errors.add(
                ("providers", name),
                f"is the same service as {other}",
                accepted="another kind, base_url or account",
            )
