"""The client of each kind of service, and settings of an engine that launches there.

Kept apart because the fault matrix and the kills run at every kind of service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from console.domain.task import Task
from console.engine.settings import EngineSettings, ProcessKind
from console.provider.anthropic.adapter import AnthropicProvider
from console.provider.contract import Provider
from console.provider.gemini.adapter import GeminiProvider
from console.provider.openai.adapter import OpenAIProvider
from console.provider.services import TRAITS
from console.simulated import SIMULATED
from tests.engine.building import settings

CLIENTS: Mapping[str, Callable[..., Provider]] = {
    "gemini": GeminiProvider,
    "anthropic": AnthropicProvider,
    "openai": OpenAIProvider,
}
POLL_MS = 30


def settings_at(service: str, asked: Task, kind: ProcessKind = ProcessKind.CONSOLE) -> EngineSettings:
    """Settings for `asked`, changed so that a simulated service of the kind `service` can launch it."""
    named = SIMULATED[service]
    task = replace(asked, agent=named.agent, model=named.model, environment=named.environment)
    use = settings(task, kind=kind, poll_ms=POLL_MS)
    there = replace(use.services[0], kind=service, server_limit=TRAITS[service].server_limit)
    return replace(use, services=(there,), prices={named.model: next(iter(use.prices.values()))})
