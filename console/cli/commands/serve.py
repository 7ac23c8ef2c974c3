"""`serve`: scheduler and supervisor without a screen, for systemd or whatever else keeps a process alive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, shared

if TYPE_CHECKING:
    from console.cli.build import House
    from console.cli.sd_notify import ServiceManager
    from console.cli.signals import Leaving


@click.command("serve")
@shared
@pass_shell
def serve_command(shell: Shell) -> int:
    """Schedule and supervise without a screen, until SIGTERM.

    SIGTERM launches nothing new and stops nothing: the runs go to another live process or to the background
    supervisor. Under systemd they wait for the restart.
    """
    return asyncio.run(_serve(shell))


async def _serve(shell: Shell) -> int:
    from console.cli.build import built, engine_settings, provider_of
    from console.cli.diag import logger
    from console.cli.sd_notify import ServiceManager
    from console.cli.signals import leaving_on_signals
    from console.engine.settings import Kind

    settings, manager = shell.settings(), ServiceManager.of(shell.environment)
    async with built(
        folder=shell.folder,
        settings=engine_settings(settings, Kind.SERVE),
        make_provider=provider_of(settings.provider, shell.environment),
    ) as house:
        # An unattended launch without a key would only fill the history with runs that were not sent.
        house.provider.ready()
        with leaving_on_signals() as leaving:
            tasks = len(settings.tasks)
            logger().info("serving %d tasks", tasks)
            manager.ready(f"serving {tasks} tasks")
            shell.say(f"serving {tasks} tasks; SIGTERM ends it and stops no run")
            await _until_told(house, leaving, manager)
            manager.stopping()
            await _go(shell, house)
    return Exit.OK if leaving.code is Exit.TERMINATED else leaving.code or Exit.OK


async def _until_told(house: House, leaving: Leaving, manager: ServiceManager) -> None:
    """Waits for the signal. A watchdog hears of this process only while its engine looks after the runs."""
    looks = -1
    while leaving.code is None:
        if house.engine.looks > looks:
            looks = house.engine.looks
            manager.alive()
        # Half of what is allowed, as systemd advises; the engine looks every second.
        await leaving.wait(max(0.1, manager.watchdog_s / 2) if manager.watchdog_s else None)


async def _go(shell: Shell, house: House) -> None:
    from console.cli.diag import logger
    from console.cli.leave import hand_over

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
