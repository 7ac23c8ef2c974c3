"""Launch and poll runs of the simulator, for the contract tests."""

from __future__ import annotations

from console.provider.contract import Launched, LaunchOrder, RemoteRun, StatusClass
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from tests.provider.examples import KEY, order, quick
from tests.waiting import until

QUICK = Scenario(steps=4, step_seconds=0.01, tokens_per_step=1000, cached_share=0.3, cancel_seconds=0.02)
ENDLESS = Scenario(ending="never", step_seconds=0.02, cancel_seconds=0.02)  # type: ignore[arg-type]  # a StrEnum's word

THE_KEY = "9f2c51ab03de7714"


def made(service: SimulatorThread, *, version: str = "v1beta", **bounds: float) -> GeminiProvider:
    return GeminiProvider(base_url=service.url, secret=Secret(KEY), api_version=version, bounds=quick(**bounds))


def ordered(**changes: object) -> LaunchOrder:
    return order(**{"prompt": "Write the nightly report.", "labels": {"nightdesk-key": THE_KEY}, **changes})


async def launched(adapter: GeminiProvider, **changes: object) -> str:
    verdict = await adapter.create(ordered(**changes))
    assert isinstance(verdict, Launched)
    return verdict.remote_id


async def ended(adapter: GeminiProvider, remote_id: str) -> RemoteRun:
    seen: list[RemoteRun] = []

    async def is_terminal() -> bool:
        seen.append(await adapter.get(remote_id))
        return seen[-1].status_class is StatusClass.TERMINAL

    await until(is_terminal)
    return seen[-1]
