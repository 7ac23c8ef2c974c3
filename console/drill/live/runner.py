"""Runs a live drill: the checks one after the other, and the end of everything that they started."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from console import __version__
from console.app import App, ProviderFactory, engine_settings, open_app
from console.config import Settings
from console.domain.run import Run
from console.domain.task import Task
from console.domain.text import sanitize
from console.drill.live.checks import BY, CHECKS, Check, LiveEnv, by_table
from console.drill.live.cleanup import discard_all, stop_all
from console.drill.live.plan import LivePlan, drill_settings
from console.drill.live.report import CheckResult, Left, LiveFinding, LiveReport, RunFigures, Verdict, count_calls
from console.drill.runner import DrillFailed
from console.engine.concerns import describe, end_tasks
from console.engine.errors import StoreError
from console.engine.settings import ProcessKind, Timings
from console.provider.contract import (
    ATTEMPT_LABEL,
    KEY_LABEL,
    REMOTE,
    RUN_LABEL,
    Denied,
    LaunchOrder,
    ProviderError,
    Unreachable,
    Unsupported,
)
from console.provider.http.observation import ObservedCall

NO_RUN = "nightdesk-drill"
"""Stands for a run and for something prepared, neither of which exists."""
LATER_S = 90.0
"""Seconds that a check may take beyond the longest time limit of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSetup:
    """What a live drill needs."""

    settings: Settings
    template: Task
    """A task of the config that uses the provider."""
    plan: LivePlan
    folder: Path
    """The state folder of the drills, which stays: the next drill stops what one that was killed has left."""
    environment: Mapping[str, str]
    interrupted: Callable[[], Awaitable[None]]
    """Returns when the drill is to end early."""
    on_finding: Callable[[LiveFinding], None]
    """Called as soon as a check has its result."""
    say: Callable[[str], None]
    """Takes messages to the person, one line each."""


class ServiceUnusable(Exception):
    """The service cannot be used: the key is refused, or nothing answers. `str()` is one line; nothing was launched."""

    def __init__(self, message: str, *, is_refused: bool) -> None:
        super().__init__(message)
        self.is_refused = is_refused


async def live_drill(setup: LiveSetup) -> LiveReport:
    """Make all checks. Raises ValueError for an unusable key, ServiceUnusable, StoreError; nothing is left then."""
    calls: list[ObservedCall] = []
    factory = ProviderFactory(setup.settings, setup.environment, observe=calls.append)
    kinds = {name: provider.kind for name, provider in setup.settings.providers.items()}
    engine = drill_settings(setup.plan, setup.template, engine_settings(setup.settings, ProcessKind.RUN), kinds)
    async with open_app(
        folder=setup.folder,
        settings=engine,
        make_provider=factory,
        key_trouble=factory.key_trouble,
        timings=Timings(sandbox_after_ms=round(setup.plan.discard_s * 1000)),
    ) as app:
        app.providers[setup.template.provider].ready()
        began = app.clock.now().utc()
        found, left = await _stop_leftovers(app, setup)
        if left:
            return _report(setup, began=began, found=found, left=left)
        env = LiveEnv(
            app=app,
            kind=kinds[setup.template.provider],
            provider=app.providers[setup.template.provider],
            plan=setup.plan,
            tasks={task.target: task for task in setup.plan.tasks(setup.template)},
            price=setup.settings.prices.get(setup.template.model),
            target=f"{began:%Y%m%dT%H%M%S}",
            calls=calls,
        )
        notes = await _review(env)
        findings: list[LiveFinding] = []
        checks = asyncio.create_task(_make_checks(env, setup, findings), name="live checks")
        interruption = asyncio.ensure_future(setup.interrupted())
        try:
            await asyncio.wait({checks, interruption}, return_when=asyncio.FIRST_COMPLETED)
            interrupted = not checks.done()
            if not interrupted:
                checks.result()
        finally:
            await end_tasks({checks, interruption})
            setup.say("stopping everything that the drill started")
            left = await stop_all(app, env.started.values(), by=BY, plan=setup.plan)
            await discard_all(env.provider, env.prepared | await _made_for_runs(env))
        return _report(
            setup,
            began=began,
            findings=tuple(findings),
            runs=await _known_runs(env),
            found=found,
            left=left,
            interrupted=interrupted,
            notes=notes,
        )


async def _stop_leftovers(app: App, setup: LiveSetup) -> tuple[int, tuple[Left, ...]]:
    """Stop what an earlier drill has left; return how many runs that were, and those without an end."""
    live = (await app.engine.queries.snapshot()).live
    if not live:
        return 0, ()
    setup.say(f"an earlier drill was killed and has left {len(live)} run(s); they are stopped first")
    return len(live), await stop_all(app, (run.id for run in live), by=BY, plan=setup.plan)


async def _review(env: LiveEnv) -> tuple[str, ...]:
    """Ask the service, before anything is launched, what would hinder a run. Raises ServiceUnusable."""
    task = next(iter(env.tasks.values()))
    order = LaunchOrder(
        agent=task.agent,
        model=task.model,
        prompt=task.prompt,
        environment=task.environment or REMOTE,
        prepared_id=None,
        server_limit=env.app.engine.settings.limits(task).server_limit,
        max_ms=task.guardrails.max_ms,
        labels={RUN_LABEL: NO_RUN, KEY_LABEL: NO_RUN, ATTEMPT_LABEL: "1"},
    )
    try:
        # A service that has nothing to review is asked for something that does not exist.
        with suppress(Unsupported):
            await env.provider.prepared_exists(NO_RUN)
        return tuple(sanitize(line, limit=300) for line in await env.provider.review(order))
    except Denied as error:
        raise ServiceUnusable(f"the service refuses: {error}", is_refused=True) from error
    except Unreachable as error:
        raise ServiceUnusable(f"the service is not reached: {error}", is_refused=False) from error
    except ProviderError as error:
        return (sanitize(f"the review before the launch failed: {error}", limit=300),)


async def _make_checks(env: LiveEnv, setup: LiveSetup, findings: list[LiveFinding]) -> None:
    """Make the checks in their order, each within its time. What one raises is its result."""
    loop = asyncio.get_running_loop()
    for name, (assumed, check) in CHECKS.items():
        began, before = loop.time(), len(env.calls)
        seen = await _seen(env, check, setup.plan)
        finding = LiveFinding(
            check=name,
            assumed=assumed,
            seen=env.clean(seen.text, limit=600),
            verdict=seen.verdict,
            seconds=loop.time() - began,
            calls=count_calls(env.calls[before:]),
        )
        findings.append(finding)
        setup.on_finding(finding)


async def _seen(env: LiveEnv, check: Check, plan: LivePlan) -> CheckResult:
    within_s = plan.longest_ms / 1000 + LATER_S
    try:
        async with asyncio.timeout(within_s):
            return await check(env)
    except TimeoutError:
        return CheckResult(text=f"no result within {within_s:g} s", verdict=Verdict.FAILED)
    except (DrillFailed, ProviderError, StoreError) as error:
        return CheckResult(text=str(error), verdict=Verdict.FAILED)
    except Exception as error:
        return CheckResult(text=describe(error), verdict=Verdict.FAILED)


def _figures(env: LiveEnv, name: str, run: Run) -> RunFigures:
    tokens = {field.name: getattr(run.usage, field.name) for field in fields(run.usage) if field.name != "told_micro"}
    return RunFigures(
        run=name,
        outcome=run.outcome_words or run.state.value,
        status=sanitize(run.remote_status or "", limit=64),
        seconds=run.elapsed_ms / 1000,
        milliunits=run.used,
        tokens=tokens,
        cost_micro=by_table(env.price, run),
        told_micro=run.usage.told_micro,
    )


async def _made_for_runs(env: LiveEnv) -> set[str]:
    """Return what was prepared for the runs that can be read: their sandboxes, sessions or triggers."""
    found = set()
    for name in env.started:
        with suppress(StoreError, LookupError):
            run = await env.now(name)
            found |= {run.sandbox_id} if run.sandbox_id is not None and run.sandbox_own else set()
    return found


async def _known_runs(env: LiveEnv) -> tuple[RunFigures, ...]:
    """Return the figures of the runs that can be read: the store may not answer."""
    found = []
    for name in env.started:
        with suppress(StoreError, LookupError):
            found.append(_figures(env, name, await env.now(name)))
    return tuple(found)


def _report(
    setup: LiveSetup,
    *,
    began: datetime,
    left: tuple[Left, ...],
    found: int,
    findings: tuple[LiveFinding, ...] = (),
    runs: tuple[RunFigures, ...] = (),
    interrupted: bool = False,
    notes: tuple[str, ...] = (),
) -> LiveReport:
    service = setup.settings.providers[setup.template.provider]
    price = setup.settings.prices.get(setup.template.model)
    return LiveReport(
        program=__version__,
        began=f"{began:%Y-%m-%dT%H:%M:%SZ}",
        kind=service.kind,
        host=urlsplit(service.base_url).netloc,
        agent=setup.template.agent,
        model=setup.template.model,
        max_units=setup.plan.max_units,
        findings=findings,
        runs=runs,
        currency=price.currency if price is not None else None,
        left=left,
        interrupted=interrupted,
        found=found,
        notes=notes,
    )
