"""Checks of the tasks: what can never be launched, retried or approved, and what nobody knows the cost of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from console.config import Settings
from console.doctor.runner import Area, Check, Level, Results, Subject
from console.domain.caps import Cap
from console.domain.formatting import counted, format_duration
from console.domain.task import Task
from console.domain.usage import units_text
from console.engine.scheduling.cron import next_times

LEAST_TO_APPROVE = timedelta(minutes=5)
"""A proposal that expires sooner is hardly seen by anybody."""
MAX_NAMED = 5
"""Tasks named in one line."""


def limits(subject: Subject) -> Results:
    """Check that every task fits into every cap, and that its retries and proposals have a chance."""
    settings = subject.settings
    if settings is None:
        return
    found = [*_closed_caps(settings)]
    for task in settings.tasks:
        found += [f"task {task.name}: {complaint}" for complaint in _complaints(task, settings, subject)]
    yield from ((Level.WARN, message) for message in found)
    if not found and settings.tasks:
        yield Level.OK, f"{counted(len(settings.tasks), 'task')}, each fits into every cap"


def _closed_caps(settings: Settings) -> Iterator[str]:
    caps = settings.caps
    for cap, limit in (
        (Cap.DAILY_UNITS, caps.daily_units),
        (Cap.MONTHLY_UNITS, caps.monthly_units),
        (Cap.DAILY_RUNS, caps.daily_runs),
        (Cap.CONCURRENT_RUNS, caps.concurrent_runs),
    ):
        if limit == 0:
            yield f"{cap} is 0: nothing is ever launched"


def _complaints(task: Task, settings: Settings, subject: Subject) -> Iterator[str]:
    rails = task.guardrails
    for name, limit in (
        ("its daily_units", rails.daily_units),
        ("daily_units", settings.caps.daily_units),
        ("monthly_units", settings.caps.monthly_units),
    ):
        if limit is not None and rails.budget > limit > 0:
            yield f"never fits: its budget ({units_text(rails.budget)}) is larger than {name} ({units_text(limit)})"
    if rails.daily_runs == 0 or rails.daily_units == 0:
        yield "never fits: one of its own caps is 0"
    elif rails.daily_runs is not None and rails.daily_runs < rails.max_attempts:
        yield f"max_attempts {rails.max_attempts} never happen in a day: its daily_runs is {rails.daily_runs}"
    if rails.max_attempts > 1 and not rails.retry_on:
        yield "max_attempts has no effect: retry_on is empty"
    times = next_times(task, subject.now.utc(), 3)
    apart = min((later - sooner for sooner, later in pairwise(times)), default=None)
    window = timedelta(milliseconds=settings.rollout.approval_ms)
    if apart is not None and task.window == "slot":
        # The next scheduled time replaces a proposal.
        window = min(window, apart)
    if times and window < LEAST_TO_APPROVE:
        left = format_duration(int(window.total_seconds() * 1000))
        yield f"at stage semi its proposals expire after {left}, which is hardly time to approve one"


def prices(subject: Subject) -> Results:
    """Check that the cost of every task is known."""
    settings = subject.settings
    if settings is None or not settings.tasks:
        return
    unpriced = sorted({task.model for task in settings.tasks} - settings.prices.keys())
    if unpriced:
        named = ", ".join(f'[prices."{model}"]' for model in unpriced[:MAX_NAMED])
        more = f" and {len(unpriced) - MAX_NAMED} more" if len(unpriced) > MAX_NAMED else ""
        yield Level.WARN, f"cost unknown: the config has no {named}{more}; caps count units all the same"
    else:
        yield Level.OK, "the config has the price of every model"


TASK_CHECKS = (
    Check(name="limits", area=Area.CONFIG, run=limits),
    Check(name="prices", area=Area.CONFIG, run=prices),
)
