"""`serve`: scheduler and supervisor without a screen, for systemd or another service manager."""

from __future__ import annotations

import asyncio
import signal
from functools import partial

import click

from console.app import App
from console.cli.config_watch import ConfigWatch
from console.cli.exit_codes import ExitCode, HandoverFailed
from console.cli.handover import NoPlaceForSuccessor, hand_over
from console.cli.invocation import Invocation, pass_invocation, shared_options
from console.cli.opening import opened
from console.cli.sd_notify import ServiceManager
from console.cli.signals import EXIT_CODES, ShutdownRequest, shutdown_on_signals
from console.config import Settings
from console.diag_log import logger
from console.domain.formatting import counted
from console.engine.settings import ProcessKind

NOT_SUSPENDED = "not suspended: this process schedules and guards runs; ctrl-c ends it and hands them over"


@click.command("serve")
@shared_options
@pass_invocation
def serve_command(invocation: Invocation) -> int:
    """Schedule and supervise without a screen, until SIGTERM.

    SIGTERM stops no run: another live process or the background supervisor takes them over. Under systemd they wait
    for the restart.
    """
    return asyncio.run(_serve(invocation))


async def _serve(invocation: Invocation) -> int:
    settings, manager = invocation.settings(), ServiceManager.of(invocation.environment)
    async with opened(invocation, ProcessKind.SERVE, settings=settings) as app:
        # An unattended launch without a key would only fill the history with runs that were not sent.
        app.provider.ready()
        watch = ConfigWatch(app.engine, invocation.config.path, settings, partial(_reloaded, invocation))
        watch.start()
        signals = EXIT_CODES
        if not invocation.stdin.isatty():
            # Without a terminal that could hang up, SIGHUP is the service manager's word for reloading.
            signals = {number: code for number, code in EXIT_CODES.items() if number is not signal.SIGHUP}
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watch.reload)
        with shutdown_on_signals(*signals, on_suspend=lambda: invocation.say(NOT_SUSPENDED)) as shutdown:
            tasks = counted(len(settings.tasks), "task")
            logger().info("serving %s", tasks)
            manager.ready(f"serving {tasks}")
            invocation.say(f"serving {tasks}; SIGTERM ends it and stops no run")
            code = await _until_left(invocation, app, shutdown, manager)
    return ExitCode.OK if code is ExitCode.TERMINATED else code


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
                _report(invocation, f"{error}; the runs have no guard until `nightdesk` is started again")
                return ExitCode.UNCONFIRMED
            _report(invocation, f"{error}; this process goes on guarding until it is asked to end again")
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
        logger().info("stopped: the runs go on, guarded by %s", guards)
        invocation.say(f"the runs go on, guarded by {guards}")
    else:
        logger().info("stopped: nothing needs a guard")
