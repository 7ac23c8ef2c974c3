"""`status`: the state of the whole in one object, for scripts and monitoring."""

from __future__ import annotations

import asyncio

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.ps_output import read_snapshot
from console.cli.render.launch_json import cap_usage_json, instant
from console.cli.render.runs import head_lines
from console.cli.render.table import folded
from console.domain.formatting import counted
from console.domain.run import State
from console.domain.text import sanitize
from console.engine.models import Snapshot

VERSION = 1
"""Raised when a field of the JSON changes its meaning or goes away; new fields do not count."""


@click.command("status")
@json_option
@pass_invocation
def status_command(invocation: Invocation) -> int:
    """Say whether anything needs a person: pauses, caps, scheduler, trouble.

    Exit: 0 nothing does, 1 something does. With --json prints one object with its `version`.
    """
    snapshot = asyncio.run(read_snapshot(invocation))
    found = alarms(snapshot)
    if invocation.json:
        invocation.out_json(status_json(snapshot, state_dir=str(invocation.folder)))
    else:
        lines = head_lines(snapshot, has_caps=invocation.loaded_settings is not None)
        texts = [*map(sanitize, lines), *(f"needs a person: {alarm}" for alarm in found)]
        invocation.out(*folded(map(invocation.hinted, texts), invocation.width))
        if not found:
            invocation.out("nothing needs a person")
    return ExitCode.AGENT if found else ExitCode.OK


def alarms(snapshot: Snapshot) -> list[str]:
    """Return what needs a person, one sanitized phrase each."""
    unconfirmed = sum(run.state is State.UNCONFIRMED for run in snapshot.live)
    proposed = sum(run.state is State.PROPOSED for run in snapshot.live)
    unproven = sum(run.stop is not None and run.stop.alarmed for run in snapshot.live)
    found = [
        "launches are paused" if snapshot.paused else "",
        "nobody schedules" if snapshot.nobody_schedules else "",
        f"{counted(unconfirmed, 'run')} to settle" if unconfirmed else "",
        f"{counted(unproven, 'stop')} not proven" if unproven else "",
        f"{counted(proposed, 'proposal')} to approve" if proposed else "",
        *(sanitize(problem.text) for problem in snapshot.problems if problem.over_ms is None),
    ]
    return [alarm for alarm in found if alarm]


def status_json(snapshot: Snapshot, *, state_dir: str) -> dict[str, object]:
    """Return the whole state; times in UTC, units as numbers."""
    ahead, scheduler, paused = snapshot.next_launch, snapshot.scheduler, snapshot.paused
    live = snapshot.live
    return {
        "version": VERSION,
        "at": instant(snapshot.taken.wall_ms),
        "state_dir": state_dir,
        "time_zone": snapshot.time_zone,
        "alarms": alarms(snapshot),
        "paused": {"since": instant(paused.since_ms), "by": paused.by} if paused else None,
        "caps": [cap_usage_json(cap_usage) for cap_usage in snapshot.cap_usages],
        "scheduler": {"kind": scheduler.kind, "pid": scheduler.pid} if scheduler else None,
        "nobody_schedules": snapshot.nobody_schedules,
        "next": {"task": ahead.task, "at": instant(ahead.at_ms), "proposed": ahead.proposes} if ahead else None,
        "counts": {state.value: sum(run.state is state for run in live) for state in State if state is not State.ENDED},
        "problems": [
            {
                "topic": problem.topic,
                "text": problem.text,
                "since": instant(problem.since_ms),
                "count": problem.count,
                "over": problem.over_ms is not None,
                "pid": problem.pid,
            }
            for problem in snapshot.problems
        ],
    }
