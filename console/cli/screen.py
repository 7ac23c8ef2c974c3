"""Runs the screen, and the engine beyond it: however the screen ends, the runs keep a guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from console.app import App
from console.cli.contexts import CONTEXT_FLAG
from console.cli.exit_codes import ExitCode, HandoverFailed
from console.cli.handover import hand_over, hand_over_schedule
from console.cli.invocation import Invocation
from console.cli.locations import themes_folder
from console.cli.signals import WITHOUT_HANG_UP, shutdown_on_signals
from console.domain.formatting import counted, format_when, zone_name, zone_or_utc
from console.domain.run import HOLDING
from console.domain.text import sanitize
from console.ui.context import Contexts, ExitReason, ExitResult, Leave, SessionInfo
from console.ui.run_console import run_console

POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenOptions:
    """How the screen is shown."""

    theme: str | None = None
    """None: chosen by the terminal."""
    slow: bool = False
    mouse: bool | None = None
    """None: on, but not over SSH."""
    bell: bool = True
    command: tuple[str, ...] = ("nightdesk",)
    """The words that reach the same state folder from a shell."""
    keys: Mapping[str, str] = field(default_factory=dict)
    session: SessionInfo = field(default_factory=SessionInfo)
    contexts: Contexts = field(default_factory=Contexts)
    given: tuple[str, ...] = ()
    """The options of the command line, which the console of another context gets too."""
    preferences: Path | None = None
    """Where orders and saved filters are kept; None for a console that keeps nothing."""
    liftable: bool = True
    """False for a read-only console that nothing in it makes writable."""


async def run_screen(
    app: App, options: ScreenOptions, leave: Leave | None = None, leave_scheduler: Leave | None = None
) -> ExitResult:
    """Show the screen until it ends. Raises ValueError for an unknown theme."""
    return await run_console(
        app.engine,
        clock=app.clock,
        theme=options.theme,
        slow=options.slow,
        mouse=options.mouse,
        bell=options.bell,
        read_only=app.engine.settings.read_only,
        liftable=options.liftable,
        leave=leave,
        leave_scheduler=leave_scheduler,
        session=options.session,
        contexts=options.contexts,
        themes_folder=themes_folder(),
        preferences=options.preferences,
        keys=options.keys,
        command=options.command,
        ending_signals=WITHOUT_HANG_UP,
    )


async def run_console_command(invocation: Invocation, app: App, options: ScreenOptions) -> int | None:
    """Run the screen, then see to the runs that it leaves. Return the exit code.

    None: it was read-only, and the operator wants one that writes. A read-only one leaves runs as it found them.
    """
    if app.engine.settings.read_only:
        result = await run_screen(app, options)
        _open_next(invocation, options, result, read_only=True)
        return None if result.reason is ExitReason.WRITE else _report(invocation, result)
    guards: list[str | None] = []

    async def leave() -> None:
        guards.append(await hand_over(invocation, app))

    async def leave_scheduler() -> None:
        guards.append(await hand_over_schedule(invocation, app))

    result = await run_screen(app, options, leave, leave_scheduler)
    if result.reason is ExitReason.LINE_DROPPED:
        return await _headless(invocation, app, ExitCode.HUNG_UP)
    _open_next(invocation, options, result, read_only=False)
    code = _report(invocation, result)
    if result.reason is ExitReason.SCHEDULER_LEFT:
        invocation.say(f"{guards[0]} supervises and launches what is due; `nightdesk` shows it, SIGTERM ends it")
        return code
    notes = await _notes(app)
    try:
        # A second signal does not interrupt the hand-over.
        with shutdown_on_signals(*WITHOUT_HANG_UP):
            guard = guards[0] if guards else await hand_over(invocation, app)
    except HandoverFailed as error:
        invocation.say(f"{error}; this process goes on supervising, without a screen, until it is asked to end")
        return await _headless(invocation, app, code)
    if guard:
        invocation.say(f"supervised by {guard}; `nightdesk` shows the runs again, `nightdesk cancel --all` stops them")
    invocation.say(*notes)
    return code


def _open_next(invocation: Invocation, options: ScreenOptions, result: ExitResult, *, read_only: bool) -> None:
    """Have this process replaced by the console that the operator chose to go to, once it is done."""
    if result.context:
        given = (*options.given, *(("--read-only",) if read_only else ()))
        invocation.next_command = (CONTEXT_FLAG, result.context, "console", *given)


async def _notes(app: App) -> list[str]:
    """What goes on and what is missed once this process is gone, a line each; empty where there is nothing to say."""
    try:
        snapshot = await app.engine.queries.snapshot()
    except Exception:  # no note is worth a run that is not handed over
        return []
    notes, ahead = [], snapshot.next_launch
    elsewhere = 0
    for run in snapshot.live:
        owner = snapshot.owners.get(run.owner or "")
        elsewhere += run.state in HOLDING and owner is not None and owner.alive and not owner.mine
    if elsewhere:
        goes = "goes" if elsewhere == 1 else "go"
        notes.append(f"{counted(elsewhere, 'run')} {goes} on, supervised by other processes")
    if ahead is not None and (snapshot.schedule_ends_here or snapshot.nobody_schedules):
        zone = zone_or_utc(snapshot.time_zone)
        at = f"{format_when(ahead.at_ms, snapshot.taken.wall_ms, zone)} {zone_name(ahead.at_ms, zone)}"
        # A console that was no scheduler is not one when it is opened again.
        also = ", and so does an open console" if snapshot.schedule_ends_here else ""
        notes.append(
            f"nobody schedules now: {sanitize(ahead.task)} is due {at} and will be missed; "
            f"`nightdesk serve` schedules{also}"
        )
    return notes


def _report(invocation: Invocation, result: ExitResult) -> ExitCode:
    if result.message:
        invocation.say(*result.message.splitlines())
    return exit_code_of_screen(result)


async def _headless(invocation: Invocation, app: App, code: ExitCode) -> int:
    """Guard and schedule without a terminal: until others do, until nothing is left to do, or until a signal."""
    invocation.next_command = None
    with shutdown_on_signals(*WITHOUT_HANG_UP, on_suspend=lambda: None) as shutdown:
        while shutdown.code is None and (app.engine.guarded or await _is_the_scheduler(app)):
            await shutdown.wait(POLL_S)
        try:
            await hand_over(invocation, app)
        except HandoverFailed as error:
            await app.engine.hand_over()
            invocation.say(f"{error}; the runs are not supervised until `nightdesk` is started again")
            return ExitCode.UNCONFIRMED
    return shutdown.code or code


async def _is_the_scheduler(app: App) -> bool:
    try:
        return (await app.engine.queries.snapshot()).schedule_ends_here
    except Exception:  # nothing is known about the schedule, so somebody has to go on looking
        return app.engine.settings.schedules


def exit_code_of_screen(result: ExitResult) -> ExitCode:
    """Return the exit code for the way the screen ended."""
    match result.reason:
        case ExitReason.QUIT | ExitReason.LEFT | ExitReason.SCHEDULER_LEFT | ExitReason.STOPPED | ExitReason.WRITE:
            return ExitCode.OK
        case ExitReason.LINE_DROPPED:
            return ExitCode.HUNG_UP
        case ExitReason.TERMINATED:
            return ExitCode.TERMINATED
        case ExitReason.CRASHED:
            return ExitCode.INTERNAL
        case _:
            assert_never(result.reason)
