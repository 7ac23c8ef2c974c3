"""The checks of a live drill, in the order in which they are made. Each says what it saw, or raises DrillFailed."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from console.app import App
from console.domain.run import Outcome, Run, RunId, State, StopReason
from console.domain.task import Task
from console.domain.text import sanitize
from console.domain.usage import Price, money_text, units_text
from console.drill.live.plan import LivePlan
from console.drill.live.report import CheckResult, Verdict
from console.drill.runner import expect
from console.engine.models import LaunchKind, LaunchRequest, LaunchResult
from console.engine.run.launch import order_for
from console.engine.run.lost_launch import lost_launch
from console.provider.contract import (
    Absent,
    Fenced,
    Found,
    NotFound,
    Provider,
    ProviderError,
    Refused,
    Resolution,
    StatusClass,
)
from console.provider.http.observation import ObservedCall
from console.provider.traits import DiscardUse, Prepares, Traits, UsageReport

BY = "nightdesk drill --live"
LOOK_S = 0.2
"""Seconds between two looks at a run, which cost no call."""
ASK_S = 1.0
"""Seconds between two questions to the service for the same."""
MIN_ID = 8
"""Characters of the shortest id that is looked for in a text."""
SKEW_S = 30.0
"""A clock of the service that is further away differs: what a run reports of its times is then misread."""
UNKNOWN_CALL = frozenset({404, 405, 501})
"""Statuses of a call that the service does not know."""
REMOVED = frozenset({200, 202, 204})
"""Statuses of a deletion that took effect."""
MONEY_SHARE = 0.2
"""The share by which the money that the service tells may differ from that of the price table."""


@dataclass(slots=True, kw_only=True)
class LiveEnv:
    """What the checks work with, and everything that they have started."""

    app: App
    kind: str
    """Of the service."""
    provider: Provider
    plan: LivePlan
    tasks: dict[str, Task]
    """The tasks of the drill by the run that they are for."""
    price: Price | None
    target: str
    """Tells the keys of this drill from those of others."""
    calls: list[ObservedCall]
    """Every call so far."""
    started: dict[str, RunId] = field(default_factory=dict)
    """The runs by name, from before their launch request on."""
    prepared: set[str] = field(default_factory=set)
    """What a check prepared itself, until it was discarded."""
    ids: set[str] = field(default_factory=set)
    """Ids of the service, which no report shows."""
    resolution: Resolution | None = None
    """What the service says of a launched run, asked for as if its answer had been lost; None before."""

    @property
    def traits(self) -> Traits:
        """What the service is able to do."""
        return self.provider.traits

    async def launch(self, run: str) -> LaunchResult:
        """Launch the task of one run."""
        request = LaunchRequest(task=self.tasks[run].name, target=f"{self.target}-{run}", by=BY)
        return await self.app.engine.operations.launch(request)

    async def start(self, run: str) -> Run:
        """Launch a run and return it once it has an id. Raises DrillFailed if it gets none."""
        answer = await self.launch(run)
        self.started[run] = answer.run.id
        expect(answer.kind is LaunchKind.LAUNCHED, f"refused here: {answer.refusal.sentence if answer.refusal else ''}")
        live = await self.until(run, lambda run: run.state not in (State.CLAIMED, State.SENDING))
        expect(live.state is not State.UNCONFIRMED, f"no answer to the launch: {live.note}")
        expect(live.remote_id is not None, f"not launched: {live.note or live.outcome_words}")
        return live

    async def now(self, run: str) -> Run:
        """Return a run of the drill."""
        found = await self.app.engine.get_run(self.started[run])
        self.hide(found.remote_id, found.sandbox_id)
        return found

    def hide(self, *ids: str | None) -> None:
        """Leave these ids of the service, and the ids within them, out of the report."""
        self.ids |= {part for each in ids if each for part in (each, *re.split("[:/]", each)) if len(part) >= MIN_ID}

    def clean(self, text: str, *, limit: int = 120) -> str:
        """Return a text of the service as a report may show it: one line, without ids."""
        for each in sorted(self.ids, key=len, reverse=True):
            text = text.replace(each, "{id}")
        return sanitize(text, limit=limit)

    async def until(self, run: str, condition: Callable[[Run], bool]) -> Run:
        """Return a run once it meets the condition. The time limit of the check bounds it."""
        while True:
            found = await self.now(run)
            if condition(found):
                return found
            await asyncio.sleep(LOOK_S)

    async def ended(self, run: str) -> Run:
        """Return a run once it has ended."""
        return await self.until(run, lambda run: run.state in (State.ENDED, State.UNCONFIRMED))

    def launched(self, *runs: str) -> None:
        """Raise DrillFailed unless all of these runs were started."""
        missing = [run for run in runs if run not in self.started]
        expect(not missing, f"the run {', '.join(missing)} was not launched")


async def key(env: LiveEnv) -> CheckResult:
    """One key launched twice; the run goes on and reaches its time limit."""
    before = len(env.calls)
    run = await env.start("time-limit")
    again = await env.launch("time-limit")
    posts = [call for call in env.calls[before:] if call.form.startswith("POST ")]
    forms = [call.form for call in posts]
    repeated = sorted({form for form in forms if forms.count(form) > 1})
    expect(again.kind is LaunchKind.SKIPPED, f"the second launch was {again.kind}")
    text = f"launched once ({_word(env, run)}); the second launch was skipped and sent nothing"
    if repeated and env.traits.start_repeats:
        text = f"{text}; no answer came at first, and it was sent again with its key: {', '.join(repeated)}"
    else:
        expect(not repeated, f"sent more than once: {', '.join(repeated)}")
    if unknown := _unknown_forms(posts):
        return CheckResult(text=f"{text}; refused: {unknown}", verdict=Verdict.DIFFERS)
    return CheckResult(text=text)


async def time_limit(env: LiveEnv) -> CheckResult:
    """The agent of the first run works on until its time limit."""
    env.launched("time-limit")
    before = len(env.calls)
    run = await env.ended("time-limit")
    limit_s, took_s = run.limits.max_ms / 1000, run.elapsed_ms / 1000
    if run.outcome in (Outcome.OK, Outcome.BUDGET) and (run.stop is None or run.stop.tries < 2):
        return CheckResult(
            text=f"it ended as {run.outcome} after {took_s:.1f} s, before the limit", verdict=Verdict.NOT_KNOWN
        )
    expect(run.outcome is Outcome.TIMEOUT, f"outcome {run.outcome or run.state} after {took_s:.1f} s")
    status = await _status_afterwards(env, run, before)
    tries, last_resort = run.stop.tries if run.stop else 0, _last_resort(env, run)
    text = f"limit {limit_s:g} s: shown as ended after {took_s:.1f} s, {tries} cancel(s){last_resort}, status {status}"
    return CheckResult(text=text, verdict=Verdict.DIFFERS if last_resort else Verdict.HELD)


def _last_resort(env: LiveEnv, run: Run) -> str:
    """Say that a run ended only when its sandbox was deleted; empty where a cancel ended it."""
    if env.traits.discard is not DiscardUse.MAY_STOP or run.sandbox_deleted_ms is None:
        return ""
    return ", which did not end it: its sandbox was deleted"


async def _status_afterwards(env: LiveEnv, run: Run, before: int) -> str:
    """Return the status of an ended run, read anew. Raises DrillFailed if it is not final, ProviderError.

    `before` is the number of calls that were made before it was stopped.
    """
    try:
        remote = await env.provider.get(run.remote_id or "")
    except NotFound:
        # This program removes a session after its run was cut off. No other 404 proves an end.
        removed = any(call.form.startswith("DELETE ") and call.status in REMOVED for call in env.calls[before:])
        if env.traits.prepares is not Prepares.SESSION or not removed:
            raise
        return f"{_word(env, run)}; then its session was removed"
    expect(remote.status_class is StatusClass.TERMINAL, f"the service shows {env.clean(remote.status)} afterwards")
    return env.clean(remote.status)


async def budget(env: LiveEnv) -> CheckResult:
    """An agent that uses its budget up."""
    await env.start("budget")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await env.until("budget", lambda run: run.used > 0 or run.state is State.ENDED)
    first_s = loop.time() - began
    run = await env.ended("budget")
    # The figures of the last poll are stored a moment before the end.
    is_live = loop.time() - began - first_s > 2 * env.plan.poll_of(env.kind) / 1000
    figures = f"first figures after {first_s:.0f} s" if is_live else "no figures before the end"
    used, limit = units_text(run.used), units_text(run.limits.budget)
    if run.outcome is not Outcome.BUDGET:
        expect(run.outcome in (Outcome.OK, Outcome.TIMEOUT, Outcome.INCOMPLETE), f"outcome {run.outcome}: {run.note}")
        text = f"it ended as {run.outcome} at {used} of {limit} units; {figures}"
        expect(run.used <= run.limits.budget or env.traits.usage is not UsageReport.LIVE, text)
        is_over = run.used > run.limits.budget
        return CheckResult(text=text, verdict=Verdict.DIFFERS if is_over else Verdict.NOT_KNOWN)
    over, status = units_text(max(0, run.used - run.limits.budget)), _word(env, run)
    asked = run.stop is not None and run.stop.reason is StopReason.BUDGET
    who = "after this program asked for it" if asked else "by the limit at the service alone"
    is_late, last_resort = not is_live and env.traits.usage is UsageReport.LIVE, _last_resort(env, run)
    return CheckResult(
        text=f"stopped at {used} of {limit} units, {over} over, {who}{last_resort}, status {status}; {figures}",
        verdict=Verdict.DIFFERS if is_late or last_resort else Verdict.HELD,
    )


async def cancel(env: LiveEnv) -> CheckResult:
    """A live run found by its key and cancelled."""
    live = await env.start("cancel")
    found = await env.app.engine.queries.find(live.key)
    expect([run.id for run in found] == [live.id], f"its key names {len(found)} runs")
    if env.traits.can_find_launch:
        env.resolution = await env.provider.resolve(lost_launch(live))
    before, loop = len(env.calls), asyncio.get_running_loop()
    asked = loop.time()
    await env.app.engine.operations.stop(live.id, by=BY)
    run = await env.ended("cancel")
    took_s = loop.time() - asked
    expect(run.outcome is Outcome.CANCELLED, f"outcome {run.outcome or run.state}, status {_word(env, run)}")
    forms = ", ".join(dict.fromkeys(f"{call.form}: {call.status or 'no reply'}" for call in _posts(env.calls[before:])))
    # The form that was accepted once is used from then on, so one that the service does not know may be further back.
    if refused := _unknown_forms(_posts(env.calls)):
        forms = f"{forms}; refused before: {refused}"
    told = f"answered {env.clean(run.stop.answer)!r}" if run.stop and run.stop.answer else "answered nothing"
    again, last_resort = await _second_cancel(env, run), _last_resort(env, run)
    return CheckResult(
        text=f"shown as ended {took_s:.1f} s after the cancel{last_resort}; {told}; {forms}; {again}",
        verdict=Verdict.DIFFERS if refused or last_resort else Verdict.HELD,
    )


def _posts(calls: Sequence[ObservedCall]) -> list[ObservedCall]:
    """Return the calls that ask something of a run or session."""
    return [call for call in calls if call.form.startswith("POST ") and "{id}" in call.form]


def _unknown_forms(calls: Sequence[ObservedCall]) -> str:
    """Return the calls that the service does not know, each with its status."""
    return ", ".join(dict.fromkeys(f"{call.form}: {call.status}" for call in calls if call.status in UNKNOWN_CALL))


async def _second_cancel(env: LiveEnv, run: Run) -> str:
    """Cancel an ended run once more, and say what the service answers."""
    try:
        answer = await env.provider.cancel(run.remote_id or "")
    except ProviderError as error:
        return f"cancelled again: {env.clean(str(error))}"
    return f"cancelled again: {'accepted' if answer.accepted else 'refused'}, {env.clean(answer.said)!r}"


async def deletion(env: LiveEnv) -> CheckResult:
    """What was made for a run is deleted while the run works, and is gone afterwards."""
    live = await env.start("deletion")
    prepared = live.sandbox_id
    if prepared is None or not live.sandbox_own:
        await env.app.engine.operations.stop(live.id, by=BY)
        await env.ended("deletion")
        return CheckResult(text=f"nothing is made before the launch: {live.note}", verdict=Verdict.DIFFERS)
    may_stop, what = env.traits.discard is DiscardUse.MAY_STOP, env.traits.prepares.value
    text, as_assumed = await (_deletion_stops(env, prepared) if may_stop else _deletion_refused(env, prepared, what))
    if (await env.now("deletion")).state is not State.ENDED:
        await env.app.engine.operations.stop(live.id, by=BY)
        await env.ended("deletion")
    with suppress(ProviderError):
        await env.provider.discard(prepared)
    is_gone = await _is_gone(env, prepared)
    expect(is_gone, f"{text}; the {what} is still there after the end of the run and a deletion")
    text = f"{text}; after the end it does not exist any more"
    return CheckResult(text=text, verdict=Verdict.HELD if as_assumed else Verdict.DIFFERS)


async def _deletion_stops(env: LiveEnv, prepared: str) -> tuple[str, bool]:
    """Delete the sandbox of a working run; True if that ends the run."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await env.provider.discard(prepared)
    with suppress(TimeoutError):
        async with asyncio.timeout(env.plan.wait_s):
            run = await env.ended("deletion")
            return f"its deletion ended the run after {loop.time() - began:.1f} s, status {_word(env, run)}", True
    return f"the run went on for {env.plan.wait_s:g} s after the deletion, and was cancelled then", False


async def _deletion_refused(env: LiveEnv, prepared: str, what: str) -> tuple[str, bool]:
    """Delete the session of a working run; True if the service refuses that."""
    try:
        await env.provider.discard(prepared)
    except Refused as error:
        return f"the deletion of the working {what} is refused: {env.clean(str(error))}", True
    except ProviderError as error:
        return f"the deletion of the working {what} failed: {env.clean(str(error))}", False
    return f"the deletion of the working {what} was accepted", False


async def _is_gone(env: LiveEnv, prepared: str) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(env.plan.wait_s):
            while True:
                if not await env.provider.prepared_exists(prepared):
                    return True
                await asyncio.sleep(ASK_S)
    return False


async def unknown_outcome(env: LiveEnv) -> CheckResult:
    """A launch whose answer was lost, without losing one: what the service says of a run and of an empty session."""
    env.launched("cancel")
    run = await env.now("cancel")
    if not env.traits.can_find_launch:
        handle = "its sandbox can be deleted" if run.sandbox_own else "nothing can be deleted"
        text = f"the service cannot be asked: a lost launch stays unconfirmed until a person settles it; {handle}"
        return CheckResult(text=text)
    launched = env.resolution
    is_found = isinstance(launched, Found) and launched.remote_id == run.remote_id
    order = order_for(run, env.tasks["cancel"])
    prepared = await env.provider.prepare(order)
    env.prepared.add(prepared)
    env.hide(prepared)
    empty = await env.provider.resolve(replace(lost_launch(run), prepared_id=prepared))
    expect(not isinstance(empty, Found), "a session in which nothing was started counts as launched")
    # A trigger that has not run proves nothing, and is kept.
    as_assumed = Fenced if env.traits.prepares is Prepares.SESSION else Absent
    if isinstance(empty, Fenced):
        env.prepared.discard(prepared)
    return CheckResult(
        text=f"a run that was launched is {'found' if is_found else f'shown as {_name(launched)}'}; one that was only "
        f"prepared is shown as {_name(empty)}",
        verdict=Verdict.HELD if is_found and isinstance(empty, as_assumed) else Verdict.DIFFERS,
    )


async def figures(env: LiveEnv) -> CheckResult:
    """The figures of all runs: whether they add up, and what they cost by the price table and by the service."""
    runs = [run for name in env.started if (run := await env.now(name)).usage_known and run.usage.total]
    if not runs:
        return CheckResult(text="the service reported no usage for any run", verdict=Verdict.DIFFERS)
    odd = [run for run in runs if (u := run.usage).input + u.output + u.thought + u.tool_use != u.total]
    sums = f"{len(odd)} of {len(runs)} totals are not the sum of their parts" if odd else "totals are their sums"
    told = sum(run.usage.told_micro or 0 for run in runs)
    if env.price is None:
        text = f"{sums}; no price of the model is in the config"
        return CheckResult(text=text, verdict=Verdict.DIFFERS if odd else Verdict.NOT_KNOWN)
    priced = sum(by_table(env.price, run) or 0 for run in runs)
    text = f"{sums}; {money_text(priced)} {env.price.currency}"
    if not any(run.usage.told_micro is not None for run in runs):
        text = f"{text} by the price table; the service tells no money: compare it with the bill"
        return CheckResult(text=text, verdict=Verdict.DIFFERS if odd else Verdict.HELD)
    is_near = abs(priced - told) <= max(10_000 * len(runs), MONEY_SHARE * told)
    text = (
        f"{sums}; told by the service {money_text(told)}, by the price table {money_text(priced)} {env.price.currency}"
    )
    return CheckResult(text=text, verdict=Verdict.HELD if is_near and not odd else Verdict.DIFFERS)


async def clock(env: LiveEnv) -> CheckResult:
    """How far the clock of the service is from the one of this machine."""
    skews = [call.skew_s for call in env.calls if call.skew_s is not None]
    if not skews:
        return CheckResult(text="no reply has a date", verdict=Verdict.NOT_KNOWN)
    skew = statistics.median(skews)
    text = f"the service is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}, to about a second"
    return CheckResult(text=text, verdict=Verdict.HELD if abs(skew) <= SKEW_S else Verdict.DIFFERS)


Check = Callable[[LiveEnv], Awaitable[CheckResult]]

CHECKS: dict[str, tuple[str, Check]] = {
    "one launch": ("a key is launched once; every request of a launch is sent once", key),
    "time limit": ("the cancel at the limit ends the run, and the service shows it", time_limit),
    "budget": ("usage is told while the run works, and the budget stops it", budget),
    "cancel": ("the first form of cancel is accepted and ends the run", cancel),
    "deletion": ("a sandbox's deletion ends its run; a working session cannot be deleted", deletion),
    "unknown outcome": ("what is known of a launch without an answer", unknown_outcome),
    "usage": ("the figures add up and agree with the price table", figures),
    "clock": (f"the clocks agree to {SKEW_S:g} s", clock),
}
"""Every check with what is assumed, in the order of the table."""


def by_table(price: Price | None, run: Run) -> int | None:
    """Return the micro-money of a run by the price table, whatever the service tells; None without a price."""
    return None if price is None or not run.usage_known else price.cost(replace(run.usage, told_micro=None))


def _word(env: LiveEnv, run: Run) -> str:
    return env.clean(run.remote_status or "none")


def _name(resolution: Resolution | None) -> str:
    match resolution:
        case Found():
            return "launched"
        case Fenced():
            return "not launched, for good"
        case Absent():
            return "absent, which proves nothing"
        case None:
            return "nothing: it was not asked"
