"""`audit`: what people did, newest first: who, from where, when and why."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.table import Cell, Column, render_table
from console.domain.fact_text import time_text
from console.domain.formatting import zone_or_utc
from console.domain.text import sanitize
from console.domain.timestamps import iso_ms, parse_instant
from console.engine.acting_user import Actor
from console.engine.models import AuditAct, AuditEntry, AuditFilter
from console.engine.run_json import csv_text
from console.ui.pages.audit import author


@click.command("audit")
@click.option("--since", metavar="WHEN", help="2026-11-23, 2026-11-23T03:00Z, or an age such as 7d.")
@click.option("--until", metavar="WHEN", help="In the same forms; a day is included.")
@click.option("--by", "author", metavar="TEXT", default="", help="Part of the author: a name, an address.")
@click.option(
    "--act", "acts", multiple=True, type=click.Choice([act.value for act in AuditAct]), help="May be repeated."
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV on stdout.")
@json_option
@pass_invocation
def audit_command(
    invocation: Invocation,
    since: str | None,
    until: str | None,
    author: str,
    acts: tuple[str, ...],
    limit: int,
    as_csv: bool,
) -> int:
    """List what people did, newest first: who, from where, when and why.

    Approvals, declines, promotions, demotions, raised caps, pauses, cancels, settled runs, reruns, accepted copies and
    read-only consoles that were made writable. `nightdesk` is the program itself: demotions by the rules, and pauses
    because the clock was changed.
    """
    entries, zone = asyncio.run(_acts(invocation, since, until, author, acts, limit))
    if invocation.json:
        with invocation.out_json_array() as add:
            for entry in entries:
                add(entry_json(entry))
    elif as_csv:
        text = csv_text((entry_json(entry) for entry in entries), head=True)
        invocation.write(sanitize(text.replace("\r\n", "\n"), newlines=True))
    else:
        _print(invocation, entries, zone)
    return ExitCode.OK


async def _acts(
    invocation: Invocation, since: str | None, until: str | None, author: str, acts: tuple[str, ...], limit: int
) -> tuple[tuple[AuditEntry, ...], ZoneInfo]:
    async with opened(invocation) as app:
        now_ms, zone = app.clock.now().wall_ms, zone_or_utc(app.engine.settings.caps.time_zone)
        wanted = AuditFilter(
            since_ms=parse_instant(since, now_ms=now_ms, zone=zone) if since is not None else None,
            until_ms=parse_instant(until, now_ms=now_ms, zone=zone, end_of_day=True) if until is not None else None,
            by=author,
            acts=tuple(map(AuditAct, acts)),
        )
        entries, has_more = await app.engine.queries.audit(wanted, limit=limit)
    if has_more:
        invocation.say(f"only the newest {limit} are shown; --limit shows more")
    return entries, zone


def entry_json(entry: AuditEntry) -> dict[str, object]:
    """Return one act; null for what is not known or does not apply."""
    actor = Actor.parse(entry.by)
    return {
        "at": iso_ms(entry.at_ms),
        "act": entry.act.value,
        "what": entry.what,
        "task": entry.task,
        "run": entry.run,
        "why": entry.why,
        "by": entry.by,
        "user": actor.user,
        "sudo_by": actor.sudo_by,
        "from": actor.address,
        "says": actor.says,
        "terminal": actor.has_terminal,
        "host": entry.host or None,
    }


def _print(invocation: Invocation, entries: tuple[AuditEntry, ...], zone: ZoneInfo) -> None:
    if not entries:
        invocation.say("nothing that anybody did matches")
        return
    columns = (
        Column(title="WHEN"),
        Column(title="WHO", shrink_order=1),
        Column(title="ACT"),
        Column(title="ABOUT", shrink_order=2),
        Column(title="RUN", shrink_order=4),
        Column(title="WHY", shrink_order=3),
    )
    rows = [
        [
            Cell(time_text(entry.at_ms, zone)),
            Cell(author(entry)),
            Cell(entry.act.value),
            Cell(": ".join(filter(None, (entry.task, entry.what))) or "-"),
            Cell(entry.run or "-"),
            Cell(entry.why or "-"),
        ]
        for entry in entries
    ]
    invocation.out(*render_table(columns, rows, invocation.style, invocation.width))
