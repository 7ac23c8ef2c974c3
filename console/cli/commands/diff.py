"""`diff`: what differs between two runs: what was launched, how it went, what it used."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import click

from console.cli.arguments import resolve_run, run_ids
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import elapsed_ms
from console.cli.render.table import Cell, Column, render_table
from console.domain.fact_text import time_text
from console.domain.formatting import zone_or_utc
from console.domain.run import Run
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.ui.format import elapsed, format_duration, money
from console.ui.words import user_text

Facts = dict[str, str]
SHA_SHOWN = 12
"""Digits of a hash that are shown."""


@click.command("diff")
@click.argument("one", metavar="RUN", shell_complete=run_ids)
@click.argument("other", metavar="RUN", shell_complete=run_ids)
@click.option("--all", "everything", is_flag=True, help="Print also what is the same.")
@json_option
@pass_invocation
def diff_command(invocation: Invocation, one: str, other: str, everything: bool) -> int:
    """Show what differs between two RUNs.

    What was launched, under which limits, how each ended and what it used. Of prompts only hash and length are stored,
    so only whether they differ is known.
    """
    return asyncio.run(_diff(invocation, one, other, everything=everything))


async def _diff(invocation: Invocation, one: str, other: str, *, everything: bool) -> int:
    async with opened(invocation) as app:
        runs = [await resolve_run(app.engine.queries, each) for each in (one, other)]
        now, zone = app.clock.now(), zone_or_utc(app.engine.settings.caps.time_zone)
    first, second = (run_facts(run, now, zone) for run in runs)
    names = [name for name in first if everything or first[name] != second[name]]
    if invocation.json:
        fields = {name: [first[name], second[name]] for name in names}
        invocation.out_json({"runs": [run.id for run in runs], "differs": fields})
        return ExitCode.OK
    columns = [Column(title=""), *(Column(title=run.id, shrink_order=1) for run in runs)]
    rows = [[Cell(name), Cell(first[name]), Cell(second[name])] for name in names]
    if rows:
        invocation.out(*render_table(columns, rows, invocation.style, invocation.width))
    else:
        invocation.say("these are the same run" if runs[0].id == runs[1].id else "nothing differs")
    return ExitCode.OK


def run_facts(run: Run, now: Timestamp, zone: ZoneInfo) -> Facts:
    """What two runs are compared by, in the order of the table; times are of `zone`. Sanitized."""
    launched = run.fingerprint.as_fields()
    known = run.usage_known or run.used > 0
    facts = {
        "task": run.task,
        "target": run.target,
        "date": run.date,
        "attempt": str(run.attempt),
        "started": time_text(run.sent.wall_ms, zone) if run.sent else "never sent",
        "stage": run.stage.label,
        "asked by": user_text(run.requested_by),
        **{f"launched {name.replace('_', ' ')}": _value(value) for name, value in launched.items()},
        "time limit": format_duration(run.limits.max_ms),
        "budget": f"{units_text(run.limits.budget)} units",
        "cut off": run.limits.cut_off.value,
        "outcome": run.outcome_words or run.state.value,
        "note": run.note,
        "elapsed": elapsed(elapsed_ms(run, now)) if run.sent else "-",
        "units": units_text(run.used) if known else "unknown",
        "cost": money(run.cost_micro, run.currency) if run.sent else "nothing",
        "steps": str(run.steps),
        "tokens in": str(run.usage.input) if known else "unknown",
        "tokens cached": str(run.usage.cached) if known else "unknown",
        "tokens out": str(run.usage.output) if known else "unknown",
    }
    return {name: sanitize(value, limit=200) for name, value in facts.items()}


def _value(value: object) -> str:
    text = str(value)
    return f"{text[:SHA_SHOWN]}…" if len(text) == 64 and text.isalnum() else text
