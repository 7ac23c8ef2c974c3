"""`show`: one run in full, with its timeline."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import click

from console.cli.arguments import resolve_run, run_ids
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import detail_json, elapsed_ms, tokens
from console.cli.render.run_text import event_line, result_lines, step_line
from console.cli.render.runs import time_left
from console.cli.render.table import folded
from console.domain.fact_text import stop_text, time_text
from console.domain.formatting import counted, format_count, zone_or_utc
from console.domain.run import Run, StopRequest
from console.domain.server_limit import describe_limit
from console.domain.task import Origin
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.engine.models import RunDetail
from console.ui.format import cut_off_rule, elapsed, format_duration, money
from console.ui.words import user_text


@click.command("show")
@click.argument("run", shell_complete=run_ids)
@click.option("-f", "--follow", is_flag=True, help="Then print each event and step as it comes, until the run ends.")
@json_option
@pass_invocation
def show_command(invocation: Invocation, run: str, follow: bool) -> int:
    """Show one RUN in full, with its timeline. For a key, shows its latest attempt.

    With --follow, Ctrl-C ends this command and leaves the run alone; with --json it prints one object per line.
    """
    if follow:
        from console.cli.follow import follow_run

        return asyncio.run(follow_run(invocation, run, show_lines))
    return asyncio.run(_show(invocation, run))


async def _show(invocation: Invocation, text: str) -> int:
    async with opened(invocation) as app:
        run = await resolve_run(app.engine.queries, text)
        detail = await app.engine.queries.detail(run.id)
        now, zone = app.clock.now(), zone_or_utc(app.engine.settings.caps.time_zone)
    assert detail is not None, "a run is never deleted"
    if invocation.json:
        invocation.out_json(detail_json(detail, now))
    else:
        invocation.out(*folded(show_lines(detail, now, zone), invocation.width))
    return ExitCode.OK


def show_lines(detail: RunDetail, now: Timestamp, zone: ZoneInfo) -> list[str]:
    """The run as text; times are of `zone`."""
    lines = [f"{name:<12}  {sanitize(value, limit=400)}" for name, value in _facts(detail, now, zone) if value]
    if len(detail.attempts) > 1:
        lines += ["", "attempts of this key:"]
        lines += [f"  {run.attempt}  {run.id}  {run.outcome_words or run.state}" for run in detail.attempts]
    if detail.changed_since:
        lines += ["", "the task now differs:", *(f"  {sanitize(line, limit=200)}" for line in detail.changed_since)]
    if detail.timeline:
        lines += ["", "timeline:"]
        lines += [f"  {event_line(event, zone, detail.prepared)}" for event in detail.timeline]
    if detail.steps:
        lines += ["", "steps:"]
        lines += [f"  {step_line(step)}" for step in detail.steps]
    return [*lines, *result_lines(detail.run)]


def _facts(detail: RunDetail, now: Timestamp, zone: ZoneInfo) -> list[tuple[str, str]]:
    run = detail.run

    def when(wall_ms: int | None) -> str:
        return time_text(wall_ms, zone) if wall_ms is not None else ""

    attempt = f"attempt {run.attempt}" if run.attempt else "no attempt"
    return [
        ("run", run.id),
        ("task", run.task),
        ("key", f"{run.key}  ({run.type}:{run.target}:{run.date}), {attempt}"),
        ("state", f"{run.state}" + (f", {run.outcome_words}" if run.outcome else "")),
        ("note", run.note),
        ("stop", _stop_text(run.stop) if run.stop else ""),
        ("trouble", run.trouble),
        ("launched", f"{_BY[run.origin]} at stage {run.stage.label} by {user_text(run.requested_by)}"),
        ("started", when(run.sent.wall_ms) if run.sent else "never sent"),
        ("deadline", f"{when(run.deadline_ms)}  ({format_duration(run.limits.max_ms)})" if run.deadline_ms else ""),
        ("left", time_left(run, now.wall_ms)),
        ("ended", when(run.ended_ms)),
        *(_figures(run, now) if run.attempt else ()),
        ("agent", ", ".join(filter(None, (run.fingerprint.agent, f"model {run.fingerprint.model}")))),
        ("provider", f"{run.fingerprint.provider}" + (f" ({run.service})" if run.service else "")),
        ("its limit", describe_limit(run.limits.server_limit) if run.attempt else ""),
        ("remote", f"{run.remote_id} ({run.remote_status or 'status not read yet'})" if run.remote_id else ""),
        (detail.prepared, run.sandbox_id or ""),
        ("superseded", run.superseded_by or ""),
        ("tries again", when(run.retry_at_ms)),
    ]


_BY = {Origin.MANUAL: "by hand", Origin.SCHEDULE: "by schedule"}


def _stop_text(stop: StopRequest) -> str:
    answer = f"; last answer: {stop.answer}" if stop.answer else ""
    return f"{stop_text(stop)}, {counted(stop.tries, 'cancel')} sent{answer}"


def _figures(run: Run, now: Timestamp) -> list[tuple[str, str]]:
    """Return what a run that took a hold has used."""
    rule = cut_off_rule(run.limits.cut_off)
    total = tokens(run)
    return [
        ("elapsed", elapsed(elapsed_ms(run, now))),
        ("units", f"{units_text(run.used)} of {units_text(run.limits.budget)}, cut off {rule}"),
        ("tokens", "unknown" if total is None else format_count(total)),
        ("cost", "nothing" if run.launched_nothing else money(run.cost_micro, run.currency)),
    ]
