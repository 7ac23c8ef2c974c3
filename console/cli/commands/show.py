"""`show`: one run in full, with its timeline."""

from __future__ import annotations

import asyncio

import click

from console.cli.arguments import resolve_run
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.run_json import detail_json, elapsed_ms, instant, tokens
from console.cli.render.runs import time_left
from console.domain.run import Run
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp, iso_ms
from console.domain.usage import units_text
from console.engine.models import RunDetail
from console.ui.format import cut_off_rule, elapsed, format_duration, money


@click.command("show")
@click.argument("run")
@json_option
@pass_invocation
def show_command(invocation: Invocation, run: str) -> int:
    """Show one RUN in full, with its timeline. For a key, shows its latest attempt."""
    return asyncio.run(_show(invocation, run))


async def _show(invocation: Invocation, text: str) -> int:
    async with opened(invocation) as app:
        run = await resolve_run(app.engine.queries, text)
        detail = await app.engine.queries.detail(run.id)
        now = app.clock.now()
    assert detail is not None, "a run is never deleted"
    if invocation.json:
        invocation.out_json(detail_json(detail, now))
    else:
        invocation.out(*_lines(detail, now))
    return ExitCode.OK


def _lines(detail: RunDetail, now: Timestamp) -> list[str]:
    lines = [f"{name:<12}  {sanitize(value, limit=400)}" for name, value in _facts(detail, now) if value]
    if len(detail.attempts) > 1:
        lines += ["", "attempts of this key:"]
        lines += [f"  {run.attempt}  {run.id}  {run.outcome or run.state}" for run in detail.attempts]
    if detail.changed_since:
        lines += ["", "the task now differs:", *(f"  {sanitize(line, limit=200)}" for line in detail.changed_since)]
    if detail.timeline:
        lines += ["", "timeline:"]
        lines += [f"  {iso_ms(event.at_ms)}  {event.kind:<12}  {sanitize(event.text)}" for event in detail.timeline]
    if detail.steps:
        lines += ["", "steps:"]
        lines += [
            f"  {step.index:>4}  {sanitize(step.kind, limit=30):<22}  {sanitize(step.text)}" for step in detail.steps
        ]
    if detail.run.result:
        lines += ["", "result, as the agent wrote it:"]
        lines += [f"  | {line}" for line in sanitize(detail.run.result, newlines=True).splitlines()]
    return lines


def _facts(detail: RunDetail, now: Timestamp) -> list[tuple[str, str]]:
    run = detail.run
    attempt = f"attempt {run.attempt}" if run.attempt else "no attempt"
    return [
        ("run", run.id),
        ("task", run.task),
        ("key", f"{run.key}  ({run.type}:{run.target}:{run.date}), {attempt}"),
        ("state", f"{run.state}" + (f", {run.outcome}" if run.outcome else "")),
        ("note", run.note),
        ("stop", f"{run.stop.reason} by {run.stop.by}, {run.stop.tries} tries; {run.stop.answer}" if run.stop else ""),
        ("trouble", run.trouble),
        ("launched", f"{run.origin} at stage {run.stage.label} by {run.requested_by}"),
        ("started", instant(run.sent.wall_ms) or "" if run.sent else "never sent"),
        ("deadline", f"{instant(run.deadline_ms)}  ({format_duration(run.limits.max_ms)})" if run.deadline_ms else ""),
        ("left", time_left(run, now.wall_ms)),
        ("ended", instant(run.ended_ms) or ""),
        *(_figures(run, now) if run.attempt else ()),
        ("agent", f"{run.fingerprint.agent}, model {run.fingerprint.model}"),
        ("remote", f"{run.remote_id} ({run.remote_status or 'status not read yet'})" if run.remote_id else ""),
        ("sandbox", run.sandbox_id or ""),
        ("superseded", run.superseded_by or ""),
        ("tries again", instant(run.retry_at_ms) or ""),
    ]


def _figures(run: Run, now: Timestamp) -> list[tuple[str, str]]:
    """Return what a run that took a hold has used."""
    rule = cut_off_rule(run.limits.cut_off)
    counted = tokens(run)
    return [
        ("elapsed", elapsed(elapsed_ms(run, now))),
        ("units", f"{units_text(run.used)} of {units_text(run.limits.budget)}, cut off {rule}"),
        ("tokens", "unknown" if counted is None else str(counted)),
        ("cost", "nothing" if run.sent is None else money(run.cost_micro, run.currency)),
    ]
