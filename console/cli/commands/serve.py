"""`serve`: scheduler and supervisor without a screen, for systemd or whatever else keeps a process alive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, pass_invocation, shared_options

if TYPE_CHECKING:
    from console.app import App
    from console.cli.sd_notify import ServiceManager
    from console.cli.signals import ShutdownRequest


@click.command("serve")
@shared_options
@pass_invocation
def serve_command(shell: Invocation) -> int:
    """Schedule and supervise without a screen, until SIGTERM.

    SIGTERM launches nothing new and stops nothing: the runs go to another live process or to the background
    supervisor. Under systemd they wait for the restart.
    """
    return asyncio.run(_serve(shell))


async def _serve(shell: Invocation) -> int:
    from console.app import engine_settings, open_app, provider_factory
    from console.cli.sd_notify import ServiceManager
    from console.cli.signals import shutdown_on_signals
    from console.diag_log import logger
    from console.engine.settings import ProcessKind

    settings, manager = shell.settings(), ServiceManager.of(shell.environment)
    async with open_app(
        folder=shell.folder,
        settings=engine_settings(settings, ProcessKind.SERVE),
        make_provider=provider_factory(settings.provider, shell.environment),
    ) as house:
        # An unattended launch without a key would only fill the history with runs that were not sent.
        house.provider.ready()
        with shutdown_on_signals() as leaving:
            tasks = len(settings.tasks)
            logger().info("serving %d tasks", tasks)
            manager.ready(f"serving {tasks} tasks")
            shell.say(f"serving {tasks} tasks; SIGTERM ends it and stops no run")
            await _until_told(house, leaving, manager)
            manager.stopping()
            await _go(shell, house)
    return ExitCode.OK if leaving.code is ExitCode.TERMINATED else leaving.code or ExitCode.OK


async def _until_told(house: App, leaving: ShutdownRequest, manager: ServiceManager) -> None:
    """Waits for the signal. A watchdog hears of this process only while its engine looks after the runs."""
    looks = -1
    while leaving.code is None:
        if house.engine.ticks > looks:
            looks = house.engine.ticks
            manager.alive()
        # Half of what is allowed, as systemd advises; the engine looks every second.
        await leaving.wait(max(0.1, manager.watchdog_s / 2) if manager.watchdog_s else None)


async def _go(shell: Invocation, house: App) -> None:
    from console.cli.handover import hand_over
    from console.diag_log import logger

    if shell.environment.get("INVOCATION_ID"):
        # systemd ends whatever we would start beside us, and starts us again.
        waiting = await house.engine.hand_over()
        wait = "run waits" if waiting == 1 else "runs wait"
        logger().info("stopped by systemd: %d %s for the restart", waiting, wait)
    elif guards := await hand_over(shell, house):
        logger().info("stopped: the runs go on, guarded by %s", guards)
        shell.say(f"the runs go on, guarded by {guards}")
    else:
        logger().info("stopped: nothing needs a guard")
