"""`serve`: scheduler and supervisor without a screen, for systemd or whatever else keeps a process alive."""

from __future__ import annotations

import asyncio

import click

from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, shared


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
    from console.cli.leave import hand_over
    from console.cli.signals import leaving_on_signals
    from console.engine.settings import Kind

    settings = shell.settings()
    async with built(
        folder=shell.folder,
        settings=engine_settings(settings, Kind.SERVE),
        make_provider=provider_of(settings.provider, shell.environment),
    ) as house:
        # An unattended launch without a key would only fill the history with runs that were not sent.
        house.provider.ready()
        with leaving_on_signals() as leaving:
            shell.say(f"serving {len(settings.tasks)} tasks; SIGTERM ends it and stops no run")
            await leaving.wait()
            if shell.environment.get("INVOCATION_ID"):
                # systemd ends whatever we would start beside us, and starts us again.
                waiting = await house.engine.hand_over()
                logger().info("stopped by systemd: %d runs wait for the restart", waiting)
            elif guards := await hand_over(shell, house):
                shell.say(f"the runs go on, guarded by {guards}")
    return Exit.OK if leaving.code is Exit.TERMINATED else leaving.code or Exit.OK
