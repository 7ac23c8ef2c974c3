"""What a live drill launches: how many runs, under which limits, with which prompt, and what it costs at worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from console.config import ProviderSettings, Settings
from console.domain.formatting import counted
from console.domain.server_limit import describe_limit
from console.domain.task import DEFAULT_PROVIDER, Guardrails, Task
from console.domain.usage import money_text, units_text
from console.engine.settings import EngineSettings
from console.provider.services import TRAITS

RUNS = ("time-limit", "budget", "cancel", "deletion")
"""The runs that a drill starts, one after the other, in this order."""
LEAST_UNITS, MOST_UNITS, USUAL_UNITS = 4, 10_000, 20
"""Bounds and default of the units that all runs together may use."""
PROMPT = """\
This is a test of the program that supervises you. Work until you are stopped: run the shell command `sleep 3; date`,
one call at a time, at least two hundred times. Where you have no shell, write the numbers from one upwards in words,
fifty to a line, in two hundred lines. Ask nothing, finish nothing early, and do nothing else.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """The limits of a live drill. Durations end in their unit."""

    max_units: int = USUAL_UNITS
    """Units that all runs together may use."""
    limit_ms: int = 25_000
    """The time limit of the run that reaches it."""
    longest_ms: int = 150_000
    """The time limit of every other run."""
    wait_s: float = 60.0
    """The longest wait for an answer of the service, such as the end of a run whose sandbox was deleted."""
    discard_s: float = 10.0
    """A run that ignores its cancel for so long loses its sandbox, where that may stop it."""
    stop_s: float = 120.0
    """The longest wait for proof that everything has ended, at the end."""
    poll_ms: int | None = None
    """How often a run is polled; None: as often as the service allows, at least every second."""
    prompt: str = PROMPT

    @property
    def budget(self) -> int:
        """The budget of each run in milli-units."""
        return self.max_units * 1000 // len(RUNS)

    def poll_of(self, kind: str) -> int:
        """Return how often a run is polled at a service of that kind, in milliseconds."""
        return self.poll_ms or max(1_000, TRAITS[kind].least_poll_ms)

    def task(self, run: str, template: Task) -> Task:
        """Return the task of one run: agent and model of `template`, with a prompt and limits of the drill."""
        max_ms = self.limit_ms if run == RUNS[0] else self.longest_ms
        return Task(
            name=f"drill-{run}",
            type="drill",
            target=run,
            prompt=self.prompt,
            provider=template.provider,
            agent=template.agent,
            model=template.model,
            environment=template.environment,
            guardrails=Guardrails(max_ms=max_ms, budget=self.budget),
        )

    def tasks(self, template: Task) -> tuple[Task, ...]:
        """Return the tasks of all runs."""
        return tuple(self.task(run, template) for run in RUNS)


def template_of(settings: Settings, name: str | None) -> Task:
    """Return the first task that uses the provider of that name; None: `default`, or the only one.

    Raises ValueError, in one line, if there is no such provider or no task uses it.
    """
    known = ", ".join(settings.providers)
    if name is None:
        if len(settings.providers) > 1 and DEFAULT_PROVIDER not in settings.providers:
            raise ValueError(f"the config has several providers; accepted for --provider: {known}")
        name = DEFAULT_PROVIDER if len(settings.providers) > 1 else next(iter(settings.providers))
    if name not in settings.providers:
        raise ValueError(f"no provider is named {name!r}; accepted for --provider: {known}")
    for task in settings.tasks:
        if task.provider == name:
            return task
    raise ValueError(f"no task uses the provider {name}: its agent and model are taken from one; add a [[tasks]]")


def worst_micro(plan: LivePlan, template: Task, settings: Settings) -> int | None:
    """Return the micro-money that all runs cost at most; None if the config has no price for the model."""
    price = settings.prices.get(template.model)
    if price is None:
        return None
    times_ms = (task.guardrails.max_ms for task in plan.tasks(template))
    return sum(price.worst_case(plan.budget, settings.units, max_ms=max_ms) for max_ms in times_ms)


def announcement(plan: LivePlan, template: Task, settings: Settings, engine: EngineSettings) -> tuple[str, ...]:
    """Say what a drill would do and what it costs at worst, for a person who decides on it. Not sanitized."""
    service: ProviderSettings = settings.providers[template.provider]
    price, worst = settings.prices.get(template.model), worst_micro(plan, template, settings)
    money = f'unknown: the config has no [prices."{template.model}"]'
    if price is not None and worst is not None:
        money = f"{money_text(worst)} {price.currency}, without searches"
    limit = describe_limit(engine.limits(plan.task(RUNS[0], template)).server_limit)
    seconds = plan.limit_ms + (len(RUNS) - 1) * plan.longest_ms
    return (
        f"This launches {counted(len(RUNS), 'agent')} one after the other at {service.base_url} ({service.kind}), with "
        f"the key of the provider {service.name}, the model {template.model} and a prompt of its own.",
        f"Each has a budget of {units_text(plan.budget)} units; together they run for at most {seconds // 1000} s.",
        f"Limit of each at the service: {limit}.",
        f"Worst cost: {units_text(plan.budget * len(RUNS))} units; in money {money}. The service bills what an agent "
        "does until a stop takes effect, which may be more.",
    )


def drill_settings(plan: LivePlan, template: Task, engine: EngineSettings, kinds: Mapping[str, str]) -> EngineSettings:
    """Return the settings of the engine of a drill: its own tasks, and no caps but one run at a time.

    All services of the config stay, so that runs which an earlier drill has left at any of them can be stopped. `kinds`
    are those of the services by name.
    """
    services = tuple(replace(one, poll_ms=plan.poll_of(kinds[one.name])) for one in engine.services)
    caps = replace(engine.caps, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)
    return replace(engine, tasks=plan.tasks(template), caps=caps, services=services, schedules=False)
