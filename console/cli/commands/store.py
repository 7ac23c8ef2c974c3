"""`store`: where the runs are recorded; and what the owner of a database of several hosts does with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli.commands.backup import refuse_in_use
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation, refuse_if_locked
from console.cli.opening import opened
from console.domain.fact_text import author_text, time_text
from console.domain.formatting import counted, zone_or_utc
from console.domain.policy import Policy
from console.domain.text import sanitize
from console.domain.timestamps import iso_ms
from console.engine.clock import SystemClock
from console.store.bootstrap import MOVED, MOVED_SENTENCE
from console.store.diagnostics import inspect_database, latest_schema
from console.store.errors import StoreError, StoreMissing
from console.store.fleet_settings import FleetSettings, missing_driver
from console.store.policy import StoredPolicy
from console.store.pragmas import sqlite_version

if TYPE_CHECKING:
    from console.store.postgres.status import FleetStatus

ROLE_HELP = "Connect as ROLE, which owns the schema, in place of the role of the config."


@click.group("store", invoke_without_command=True)
@json_option
@pass_invocation
@click.pass_context
def store_command(context: click.Context, invocation: Invocation) -> int | None:
    """Show where the runs are recorded, or set up a database that several hosts share."""
    if context.invoked_subcommand is not None:
        return None
    fleet = invocation.settings().store.fleet
    return _show_folder(invocation) if fleet is None else _show_fleet(invocation, fleet)


@store_command.command("init")
@click.option("--print", "only_print", is_flag=True, help="Print the statements and connect to nothing.")
@click.option("--role", metavar="ROLE", help=ROLE_HELP)
@json_option
@pass_invocation
def init_command(invocation: Invocation, only_print: bool, role: str | None) -> int:
    """Make an empty store in the schema of the config."""
    fleet, now = _fleet(invocation), SystemClock().now()
    from console.store.postgres.administration import create_store, creation_script

    if only_print:
        script = creation_script(fleet, now)
        if invocation.json:
            invocation.out_json({"place": fleet.place, "schema": fleet.schema, "script": script})
        else:
            invocation.out(script.rstrip("\n"))
        return ExitCode.OK
    refuse_if_locked(invocation, "store init")
    change = create_store(fleet, now, role)
    if invocation.json:
        invocation.out_json(_changed(fleet, change.before, change.after))
    elif change.before:
        invocation.say(f"the schema {fleet.schema} at {fleet.place} holds a store already: nothing was changed")
    else:
        invocation.say(f"made an empty store in the schema {fleet.schema} at {fleet.place}")
        invocation.say("next: nightdesk store grant ENGINE --reader READER")
    return ExitCode.OK


@store_command.command("migrate")
@click.option("--role", metavar="ROLE", help=ROLE_HELP)
@json_option
@pass_invocation
def migrate_command(invocation: Invocation, role: str | None) -> int:
    """Upgrade the schema to the version of this program; no process of another version may run."""
    refuse_if_locked(invocation, "store migrate")
    fleet = _fleet(invocation)
    from console.store.postgres.administration import upgrade_store

    change = upgrade_store(fleet, SystemClock().now(), role)
    if invocation.json:
        invocation.out_json(_changed(fleet, change.before, change.after))
    elif change.before == change.after:
        invocation.say(f"the store is of version {change.after}, the current one: nothing was changed")
    else:
        invocation.say(f"upgraded the store from version {change.before} to {change.after}")
    return ExitCode.OK


@store_command.command("grant")
@click.argument("engine")
@click.option("--reader", metavar="ROLE", help="A role that may only read, for read-only consoles and dashboards.")
@click.option("--role", metavar="ROLE", help=ROLE_HELP)
@json_option
@pass_invocation
def grant_command(invocation: Invocation, engine: str, reader: str | None, role: str | None) -> int:
    """Let the role ENGINE launch and supervise: it may add and change rows, and delete no run."""
    refuse_if_locked(invocation, "store grant")
    fleet = _fleet(invocation)
    from console.store.postgres.administration import grant

    grant(fleet, engine, reader, role)
    if invocation.json:
        invocation.out_json({"place": fleet.place, "schema": fleet.schema, "engine": engine, "reader": reader})
    else:
        also = f", {sanitize(reader, limit=64)} may read it" if reader else ""
        invocation.say(f"{sanitize(engine, limit=64)} may use the store in the schema {fleet.schema}{also}")
    return ExitCode.OK


@store_command.command("move")
@click.option("--role", metavar="ROLE", help=ROLE_HELP)
@json_option
@pass_invocation
def move_command(invocation: Invocation, role: str | None) -> int:
    """Move the runs of the state folder into the database, which must hold none; the old store is never used again.

    No process may use the state folder, and no run may be open. Numbers of runs and of log lines stay the same.
    """
    refuse_if_locked(invocation, "store move")
    fleet, folder = _fleet(invocation), invocation.folder
    from console.store.postgres.move import move_store

    refuse_in_use(folder)
    moved = move_store(folder, fleet, SystemClock().now(), role)
    if invocation.json:
        facts = {"id": moved.store_id, "runs": moved.runs, "last_ev": moved.lines}
        invocation.out_json({"place": fleet.place, "schema": fleet.schema, **facts})
    else:
        invocation.say(
            f"moved {counted(moved.runs, 'run')} and {counted(moved.lines, 'log line')} into the schema {fleet.schema} "
            f"at {fleet.place}",
            "the store of this folder refuses every use from now on; keep the folder: the log and the locks stay in it",
        )
    return ExitCode.OK


@store_command.command("policy")
@click.option("--take", is_flag=True, help="Make what stands in the config of this host that of the fleet.")
@click.option("--reason", metavar="R", help="The reason, for the record; with --take.")
@json_option
@pass_invocation
def policy_command(invocation: Invocation, take: bool, reason: str | None) -> int:
    """Show by which caps, units, rollout rules and schedules the fleet launches, and where this host differs.

    A host whose config differs launches nothing, and one whose schedules differ launches nothing on schedule.
    """
    if take != (reason is not None):
        raise CommandError(ExitCode.USAGE, "--take needs --reason R, and --reason is for --take only")
    if take:
        refuse_if_locked(invocation, "store policy --take")
    _fleet(invocation)
    return asyncio.run(_policy(invocation, reason))


async def _policy(invocation: Invocation, reason: str | None) -> int:
    """Show the policy; with a `reason`, first make that of this host the fleet's."""
    async with opened(invocation) as app:
        if reason is not None:
            before = await app.store.policy.current()
            changes = await app.engine.operations.take_policy(by=invocation.by, reason=reason)
            for each in changes:
                invocation.say(f"{each.key}: {each.fleet} -> {each.here} in the fleet")
            if before is not None and not changes:
                invocation.say("the policy of this host is that of the fleet already: nothing was changed")
        stored, here = await app.store.policy.current(), app.engine.settings.policy
        zone = zone_or_utc(app.engine.settings.caps.time_zone)
    if invocation.json:
        invocation.out_json(_policy_json(here, stored))
        return ExitCode.OK
    if stored is None:
        origin = "none yet: the first launch makes that of its host the fleet's"
    else:
        by, host = author_text(stored.by), stored.host or "an unnamed host"
        origin = f"by {by} on {host} at {time_text(stored.at_ms, zone)}: {stored.reason}"
    rows = _policy_rows(here, stored)
    width = max(len(mine or "-") for _, mine, _ in rows)
    lines = [f"{'policy':18} {origin}", f"{'':18} {'here':{width}}  in the fleet"]
    for key, mine, theirs in rows:
        mark = "   differs" if stored is not None and None not in (mine, theirs) and mine != theirs else ""
        lines.append(f"{key:18} {mine or '-':{width}}  {theirs or '-'}{mark}")
    invocation.out(*(sanitize(line, limit=300) for line in lines))
    return ExitCode.OK


def _policy_rows(here: Policy, stored: StoredPolicy | None) -> list[tuple[str, str | None, str | None]]:
    """Return each key with its value on this host and in the fleet; None where one does not know it."""
    fleet = {} if stored is None else stored.policy.values
    return [(key, here.values.get(key), fleet.get(key)) for key in {**here.values, **fleet}]


def _policy_json(here: Policy, stored: StoredPolicy | None) -> dict[str, object]:
    values = [{"key": key, "here": mine, "fleet": theirs} for key, mine, theirs in _policy_rows(here, stored)]
    if stored is None:
        return {"agrees": True, **dict.fromkeys(("by", "host", "at", "reason")), "values": values}
    return {
        "agrees": not here.differences(stored.policy),
        "by": stored.by,
        "host": stored.host,
        "at": iso_ms(stored.at_ms),
        "reason": stored.reason,
        "values": values,
    }


@store_command.command("reclaim")
@json_option
@pass_invocation
def reclaim_command(invocation: Invocation) -> int:
    """Put launches back that the database lost and the journal of this host has: unconfirmed, with key and hold.

    Exit: 0 all are back, 7 some could not be put back.
    """
    refuse_if_locked(invocation, "store reclaim")
    _fleet(invocation)
    return asyncio.run(_reclaim(invocation))


@store_command.command("accept-loss")
@click.option("--reason", metavar="R", required=True, help="Why it may be given up, for the record.")
@json_option
@pass_invocation
def accept_loss_command(invocation: Invocation, reason: str) -> int:
    """Give up what the files of this host know and the database lost; the keys of launches stay taken."""
    refuse_if_locked(invocation, "store accept-loss")
    _fleet(invocation)
    return asyncio.run(_accept_loss(invocation, reason))


async def _reclaim(invocation: Invocation) -> int:
    async with opened(invocation, create=False) as app:
        assert app.engine.failover is not None
        back, refused = await app.engine.failover.reclaim()
    if invocation.json:
        runs = [{"run": run.id, "key": run.key, "task": run.task} for run in back]
        invocation.out_json({"runs": runs, "refused": [sanitize(line) for line in refused]})
    else:
        lines = [
            f"put back: run {run.id} of {sanitize(run.task)}, unconfirmed until it is found or ruled on" for run in back
        ]
        lines += [f"not put back: {sanitize(line)}" for line in refused]
        invocation.say(*(lines or ["the database lacks no launch of this host's journal"]))
    return ExitCode.UNCONFIRMED if refused else ExitCode.OK


async def _accept_loss(invocation: Invocation, reason: str) -> int:
    async with opened(invocation, create=False) as app:
        assert app.engine.failover is not None
        loss = await app.engine.failover.accept(by=invocation.by, why=reason)
    lines, launches = (0, 0) if loss is None else (len(loss.lines), len(loss.launches))
    if invocation.json:
        invocation.out_json({"lines": lines, "launches": launches})
    elif loss is None:
        invocation.say("the database lacks nothing that the files of this host know")
    else:
        invocation.say(
            f"given up: {counted(lines, 'log line')} and {counted(launches, 'launch', 'launches')}; "
            "keys of launches stay taken",
            "next: the same on every host that shows the loss, then nightdesk resume",
        )
    return ExitCode.OK


def _fleet(invocation: Invocation) -> FleetSettings:
    """Return the database of the config. Raises CommandError where there is none, StoreError without its driver."""
    fleet = invocation.settings().store.fleet
    if fleet is None:
        message = "the config names no database: set url or service under [store]; docs/fleet.md shows how"
        raise CommandError(ExitCode.USAGE, message)
    if (trouble := missing_driver()) is not None:
        raise StoreError(trouble)
    return fleet


def _changed(fleet: FleetSettings, before: int, after: int) -> dict[str, object]:
    return {"place": fleet.place, "schema": fleet.schema, "before": before, "after": after}


def _show_folder(invocation: Invocation) -> int:
    folder, latest = invocation.folder, latest_schema()
    with inspect_database(folder) as found:
        store_id, version = found.identity, found.schema
    if version == MOVED:
        raise StoreMissing(MOVED_SENTENCE)
    if invocation.json:
        invocation.out_json(
            {
                **dict.fromkeys(("schema", "role", "may_write", "tls", "round_trip_ms", "clock_ahead_ms", "scheduler")),
                "kind": "sqlite",
                "place": str(folder),
                "id": store_id,
                "version": version,
                "latest": latest,
                "server": sqlite_version(),
                "processes": [],
            }
        )
        return ExitCode.OK
    invocation.out(
        f"store      SQLite {sqlite_version()} in {sanitize(str(folder))}",
        f"id         {sanitize(store_id or 'none', limit=64)}",
        f"version    {version}, this program's is {latest}",
    )
    return ExitCode.OK


def _show_fleet(invocation: Invocation, fleet: FleetSettings) -> int:
    _fleet(invocation)
    from console.store.postgres.status import read_status

    status = read_status(fleet)
    if invocation.json:
        invocation.out_json(_status_json(status))
        return ExitCode.OK
    rights = "owns the schema" if status.owns_schema else "may launch" if status.may_write else "may only read"
    ahead = "ahead of" if status.offset_ms >= 0 else "behind"
    lines = [
        f"store      PostgreSQL {status.server} at {status.place}, schema {status.schema}",
        f"id         {status.store_id}",
        f"version    {status.version}, this program's is {status.latest}",
        f"role       {status.role}, which {rights}",
        f"line       {status.round_trip_ms:.1f} ms, {status.tls or 'not encrypted'}",
        f"clock      {abs(status.offset_ms)} ms {ahead} that of this host",
        f"scheduler  {status.scheduler or 'none'}",
    ]
    for each in status.processes:
        lease = f"its lease has {each.left_ms / 1000:.0f} s left" if each.is_alive else "its lease is over"
        lines.append(f"process    {each.kind} {each.pid} on {each.host or 'an unnamed host'}, {lease}")
    invocation.out(*(sanitize(line, limit=300) for line in lines))
    return ExitCode.OK


def _status_json(status: FleetStatus) -> dict[str, object]:
    return {
        "kind": "postgresql",
        "place": status.place,
        "schema": status.schema,
        "id": status.store_id,
        "version": status.version,
        "latest": status.latest,
        "server": status.server,
        "role": status.role,
        "may_write": status.may_write,
        "tls": status.tls,
        "round_trip_ms": round(status.round_trip_ms, 3),
        "clock_ahead_ms": status.offset_ms,
        "scheduler": status.scheduler,
        "processes": [
            {
                "owner": each.owner,
                "host": each.host,
                "kind": each.kind,
                "pid": each.pid,
                "version": each.version,
                "lease_seconds": max(0.0, each.left_ms / 1000),
            }
            for each in status.processes
        ],
    }
