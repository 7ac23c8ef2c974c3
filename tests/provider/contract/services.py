"""The services under the contract: for each its adapter and its face of the simulator. A new service is one entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from console.domain.server_limit import MoneyLimit
from console.provider.anthropic.adapter import AnthropicProvider
from console.provider.contract import Launched, LaunchOrder, Provider, RemoteRun, StatusClass
from console.provider.gemini.adapter import GeminiProvider
from console.provider.gemini.trigger import TriggerProvider
from console.provider.http.clients import Bounds
from console.provider.http.secret import Secret
from console.provider.openai.adapter import OpenAIProvider
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.provider.examples import KEY, order
from tests.waiting import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: its kind, which is the name of its face too, and its adapter."""

    kind: str
    adapter: Callable[[str, Bounds], Provider]
    """Makes the adapter for the service at a URL."""
    refusals: frozenset[int]
    """Statuses that prove a refusal, with an error body of the service."""
    order: dict[str, object] = field(default_factory=dict)
    """Fields of a launch order that this service needs, such as its agent."""
    prepared_id: str = "v1_Chd"
    """Something that could have been prepared there."""
    launch: str = "direct"
    """How runs are launched there, as the config says."""

    def __str__(self) -> str:
        return self.kind if self.launch == "direct" else f"{self.kind} {self.launch}"


SERVICES = (
    Service(
        kind="gemini",
        adapter=lambda url, bounds: GeminiProvider(base_url=url, secret=Secret(KEY), bounds=bounds),
        refusals=frozenset({400, 401, 402, 403, 404, 413, 416, 422}),
    ),
    Service(
        kind="gemini",
        adapter=lambda url, bounds: TriggerProvider(GeminiProvider(base_url=url, secret=Secret(KEY), bounds=bounds)),
        refusals=frozenset({400, 401, 402, 403, 404, 413, 416, 422}),
        prepared_id="trigger:trg_Chd/",
        launch="trigger",
    ),
    Service(
        kind="anthropic",
        adapter=lambda url, bounds: AnthropicProvider(base_url=url, secret=Secret(KEY), bounds=bounds),
        refusals=frozenset({400, 401, 402, 403, 404, 413, 422}),
        order={
            "agent": "agent_7",
            "model": "claude-haiku-5-5",
            "environment": "env_7",
            "server_limit": MoneyLimit(cents=500, currency="USD"),
        },
    ),
    Service(
        kind="openai",
        adapter=lambda url, bounds: OpenAIProvider(base_url=url, secret=Secret(KEY), bounds=bounds),
        refusals=frozenset({400, 401, 403, 404, 413, 422}),
        order={"agent": "", "model": "gpt-6-astra", "environment": "small", "server_limit": None},
    ),
)

RUN, RUN_KEY = "01k0000000000000000000run1", "9f2c51ab03de7714"
LABELS = {"nightdesk-run": RUN, "nightdesk-key": RUN_KEY, "nightdesk-attempt": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractHarness:
    """An adapter and the simulated service that it talks to."""

    service: Service
    provider: Provider
    simulator: SimulatorThread

    @property
    def state(self) -> SimulatorState:
        """What really happened at the service."""
        return self.simulator.state

    def order(self, **changes: object) -> LaunchOrder:
        """Return a launch order for this service."""
        return order(**{"prompt": "Write the nightly report.", "labels": LABELS, **self.service.order, **changes})

    async def prepared(self, **changes: object) -> LaunchOrder:
        """Prepare a launch and return its order."""
        return self.order(**changes, prepared_id=await self.provider.prepare(self.order(**changes)))

    async def launched(self, **changes: object) -> str:
        """Prepare and start a run and return its id."""
        verdict = await self.provider.create(await self.prepared(**changes))
        assert isinstance(verdict, Launched), verdict
        return verdict.remote_id

    async def ended(self, remote_id: str) -> RemoteRun:
        """Poll until the run has ended."""
        seen: list[RemoteRun] = []

        async def is_terminal() -> bool:
            seen.append(await self.provider.get(remote_id))
            return seen[-1].status_class is StatusClass.TERMINAL

        await until(is_terminal, what="the end of the run")
        return seen[-1]
