"""`serve`: scheduler and supervisor without a screen, for systemd or another service manager."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import click

from console.app import App, require_key
from console.cli.commands.guard import go_to_background
from console.cli.commands.metrics import ServedMetrics, require_client
from console.cli.config_watch import ConfigWatch
from console.cli.exit_codes import CommandError, ExitCode, HandoverFailed
from console.cli.handover import NoPlaceForSuccessor, hand_over
from console.cli.invocation import Invocation, pass_invocation, shared_options
from console.cli.opening import opened
from console.cli.sd_notify import ServiceManager
from console.cli.signals import EXIT_CODES, WITHOUT_HANG_UP, ShutdownRequest, shutdown_on_signals
from console.cli.successor import PARENT_DESCRIPTOR
from console.config import Settings
from console.diag_log import logger
from console.domain.fact_text import time_text
from console.domain.formatting import counted, zone_or_utc
from console.domain.text import sanitize
from console.engine.errors import StoreError
from console.engine.models import Snapshot
from console.engine.settings import ProcessKind
from console.metrics.endpoint import parse_address

NOT_SUSPENDED = "not suspended: this process schedules and guards runs; ctrl-c ends it and hands them over"


@click.command("serve")
@click.option(
    "--handed-over", is_flag=True, hidden=True, help="Take the settings from the process that starts this one."
)
@click.option("--metrics", metavar="ADDRESS", help="Show metrics for Prometheus there, such as 127.0.0.1:9402.")
@shared_options
@pass_invocation
def serve_command(invocation: Invocation, handed_over: bool, metrics: str | None) -> int:
    """Schedule and supervise without a screen, until SIGTERM.

    SIGTERM stops no run: another live process or the background supervisor takes them over. Under systemd they wait
    for the restart.
    """
    if handed_over:
        go_to_background(invocation, "serve", handed_over=True)
        # It does not end with the process that started it, unlike a supervisor that waits for runs.
        os.close(PARENT_DESCRIPTOR)
    return asyncio.run(_serve(invocation, _metrics_address(metrics) if metrics is not None else None))


def _metrics_address(text: str) -> tuple[str, int]:
    """Raises CommandError for an address that is not on loopback, and without prometheus-client."""
    require_client()
    try:
        return parse_address(text)
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"--metrics {sanitize(str(error))}") from None


@asynccontextmanager
async def _showing_metrics(invocation: Invocation, app: App, address: tuple[str, int] | None) -> AsyncIterator[None]:
    if address is None:
        yield
        return
    metrics = ServedMetrics(app, invocation.settings().store.name or "")
    port = await metrics.start(*address)
    try:
        invocation.say(f"metrics at http://{address[0] if ':' not in address[0] else f'[{address[0]}]'}:{port}/metrics")
        yield
    finally:
        await metrics.endpoint.close()


async def _serve(invocation: Invocation, metrics: tuple[str, int] | None) -> int:
    settings, manager = invocation.settings(), ServiceManager.of(invocation.environment)
    async with opened(invocation, ProcessKind.SERVE, settings=settings) as app:
        # An unattended launch without a key would only fill the history with runs that were not sent.
        require_key(app.providers)
        watch = ConfigWatch(app.engine, invocation.config.path, settings, partial(_reloaded, invocation))
        watch.start()
        # Without a terminal that could hang up, SIGHUP is the service manager's word for reloading.
        signals = EXIT_CODES if invocation.stdin.isatty() else WITHOUT_HANG_UP
        with shutdown_on_signals(
            *signals, on_suspend=lambda: invocation.say(NOT_SUSPENDED), on_hang_up=watch.reload
        ) as shutdown:
            tasks = counted(len(settings.tasks), "task")
            logger().info("serving %s", tasks)
            async with _showing_metrics(invocation, app, metrics):
                manager.ready(f"serving {tasks}")
                invocation.say(f"serving {tasks}; SIGTERM ends it and stops no run")
                # Beside the duties: a store that another process holds must not delay them.
                telling = asyncio.create_task(_tell_schedule(invocation, app), name="tell the schedule")
                code = await _until_left(invocation, app, shutdown, manager)
                telling.cancel()
    return ExitCode.OK if code is ExitCode.TERMINATED else code


async def _tell_schedule(invocation: Invocation, app: App) -> None:
    """Say who schedules and what comes next, in one line."""
    try:
        snapshot = await app.engine.queries.snapshot()
    except StoreError as error:
        invocation.say(f"the schedule is not known yet: {error}")
    else:
        invocation.say(_schedule_line(snapshot))


def _schedule_line(snapshot: Snapshot) -> str:
    if snapshot.scheduler is not None and not snapshot.scheduler.mine:
        other = f"{snapshot.scheduler.kind} (pid {snapshot.scheduler.pid})"
        return f"{other} schedules now; this process takes the schedule over when it ends"
    ahead = snapshot.next_launch
    if ahead is None:
        return "nothing is scheduled: no task with a schedule is at stage semi or unattended"
    effect = "is proposed" if ahead.proposes else "is launched"
    at = time_text(ahead.at_ms, zone_or_utc(snapshot.time_zone))
    return f"scheduling; next: {sanitize(ahead.task)} {effect} at {at}"


async def _until_left(invocation: Invocation, app: App, shutdown: ShutdownRequest, manager: ServiceManager) -> ExitCode:
    """Serve until the runs are handed over; if nobody takes them, until asked to end a second time."""
    asked_before = False
    while True:
        await _until_asked(app, shutdown, manager)
        code = shutdown.code or ExitCode.OK
        try:
            await _leave(invocation, app)
        except HandoverFailed as error:
            if asked_before or isinstance(error, NoPlaceForSuccessor):
                manager.stopping()
                await app.engine.hand_over()
                _report(invocation, f"{error}; the runs are not supervised until `nightdesk` is started again")
                return ExitCode.UNCONFIRMED
            _report(invocation, f"{error}; this process goes on supervising until it is asked to end again")
            asked_before = True
            shutdown.reset()
        else:
            manager.stopping()
            return code


def _reloaded(invocation: Invocation, settings: Settings) -> None:
    """The settings that are handed to a successor are those in force."""
    invocation.loaded_settings = settings
    _report(invocation, f"{invocation.config.path.name} reloaded: {len(settings.tasks)} tasks")


def _report(invocation: Invocation, message: str) -> None:
    logger().warning("%s", message)
    invocation.say(message)


async def _until_asked(app: App, shutdown: ShutdownRequest, manager: ServiceManager) -> None:
    """Wait for the signal. The watchdog is fed only while every concern of the engine comes round."""
    while shutdown.code is None:
        if not app.engine.lagging():
            manager.alive()
        # Half of what is allowed, as systemd advises.
        await shutdown.wait(max(0.1, manager.watchdog_s / 2) if manager.watchdog_s else None)


async def _leave(invocation: Invocation, app: App) -> None:
    if invocation.environment.get("INVOCATION_ID"):
        # systemd would end a supervisor together with this process, and starts this process again.
        waiting = await app.engine.hand_over()
        logger().info(
            "stopped by systemd: %s for the restart", "1 run waits" if waiting == 1 else f"{waiting} runs wait"
        )
    elif guards := await hand_over(invocation, app):
        logger().info("stopped: the runs go on, supervised by %s", guards)
        invocation.say(f"the runs go on, supervised by {guards}")
    else:
        logger().info("stopped: nothing needs a guard")
