"""A live drill against the simulator, with small times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from console.config import load
from console.drill.live.checks import LiveEnv
from console.drill.live.plan import LivePlan, template_of
from console.drill.live.report import LiveFinding
from console.drill.live.runner import LiveSetup
from console.provider.http.observation import ObservedCall
from console.simulator.scenario import Ending, Scenario

KEY = "canary-key-0123456789"
PROMPT = "A prompt of the user that no drill sends."
WORKING = Scenario(step_seconds=0.2, tokens_per_step=4_000, ending=Ending.NEVER)
"""An agent that uses the budget of a run, 5 units, up in 2.6 s."""
PLAN = LivePlan(limit_ms=1_500, longest_ms=8_000, wait_s=1.5, discard_s=1.0, stop_s=15.0, poll_ms=100)

CONFIG = """\
[provider]
base_url = "{url}"
api_key_env = "DRILL_KEY"
{kind}
[prices."{model}"]
input = {price}
output = {output}
[caps]
daily_units = 2000
monthly_units = 20000
daily_runs = 100
concurrent_runs = 8
[[tasks]]
name = "nightly"
prompt = "{prompt}"
"""


KINDS = {
    "gemini": ("gemini-3.8-flash", "", 0.75),
    "trigger": ("gemini-3.8-flash", 'launch = "trigger"', 0.75),
    "anthropic": (
        "claude-haiku-5-5",
        'kind = "anthropic"\nagent = "agent_7"\nenvironment = "env_7"\nmodel = "claude-haiku-5-5"',
        2.0,
    ),
    "openai": ("gpt-6-astra", 'kind = "openai"\nmodel = "gpt-6-astra"', 1.0),
}
"""For each kind of service, and for Gemini through a trigger: its model, the keys of its provider, and the price of a
million tokens of input."""


async def never() -> None:
    """Wait for ever: nobody interrupts the drill."""
    await asyncio.Event().wait()


def write_config(folder: Path, url: str, kind: str = "gemini") -> Path:
    """Write the config of a service at `url`."""
    path, (model, keys, price) = folder / "nightdesk.toml", KINDS[kind]
    text = CONFIG.format(url=url, prompt=PROMPT, model=model, kind=keys, price=price, output=5 * price)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def live_setup(
    folder: Path,
    url: str,
    *,
    kind: str = "gemini",
    plan: LivePlan = PLAN,
    interrupted: Callable[[], Awaitable[None]] = never,
    on_finding: Callable[[LiveFinding], None] = lambda _: None,
    said: list[str] | None = None,
) -> LiveSetup:
    """Return the setup of a drill whose state folder is `folder`/drill."""
    settings = load(write_config(folder, url, kind))
    return LiveSetup(
        settings=settings,
        template=template_of(settings, None),
        plan=plan,
        folder=folder / "drill",
        environment={"DRILL_KEY": KEY},
        interrupted=interrupted,
        on_finding=on_finding,
        say=said.append if said is not None else lambda line: None,
    )


def env_with_calls(calls: list[ObservedCall]) -> LiveEnv:
    """Return what a check works with that reads the calls only."""
    nothing: Any = None
    return LiveEnv(
        app=nothing, kind="gemini", provider=nothing, plan=PLAN, tasks={}, price=None, target="", calls=calls
    )
