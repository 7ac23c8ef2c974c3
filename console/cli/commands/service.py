"""`service`: `nightdesk serve` as a service of the user's systemd."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import click

from console.cli.exit_codes import CommandError, ExitCode, HandoverFailed
from console.cli.handover import hand_over, unguarded_runs
from console.cli.invocation import Invocation, json_option, pass_invocation, refuse_if_locked
from console.cli.known_folders import DATABASE
from console.cli.opening import opened
from console.cli.service_unit import (
    NoManager,
    Systemctl,
    UnitFiles,
    environment_text,
    is_ours,
    missing_variables,
    unit_text,
    write_new,
)
from console.config import Settings
from console.domain.text import os_error_text, sanitize
from console.program import NAME

INSTEAD = (
    "without systemd: leave a scheduler in the background when you quit the console, or let cron run "
    "`nightdesk run TASK`; docs/systemd.md describes both"
)


@click.group("service")
def service_command() -> None:
    """Run `serve` as a service of your systemd: install, status, remove."""


@service_command.command("install")
@json_option
@pass_invocation
def install_command(invocation: Invocation) -> int:
    """Write a systemd user unit and its environment file, and start the service as soon as the API keys are there.

    The unit names this config and this state folder. The environment file (mode 0600) is never overwritten, and no key
    is copied into it: fill it in, then run the command again.
    """
    refuse_if_locked(invocation, "service install")
    settings, systemctl = invocation.settings(), _manager(invocation)
    files = _files(invocation)
    names = [found.api_key.env for found in settings.providers.values() if found.api_key.env is not None]
    try:
        if not is_ours(files.unit):
            message = f"{_shown(files.unit)} was not written by nightdesk service install; move it away first"
            raise CommandError(ExitCode.USAGE, message)
        write_new(files.environment, environment_text(names), replace=False)
        write_new(files.unit, unit_text(_serve_words(invocation), files.environment), replace=True)
        missing = missing_variables(files.environment, names)
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"the service cannot be written: {os_error_text(error)}") from None
    _require(systemctl, "daemon-reload")
    # A unit that is running already takes the new file.
    _require(systemctl, "enable", files.name)
    if not missing:
        _require(systemctl, "restart", files.name)
    if invocation.json:
        invocation.out_json(
            {
                "unit": str(files.unit),
                "environment": str(files.environment),
                "started": not missing,
                "missing": missing,
            }
        )
        return ExitCode.OK
    invocation.say(f"wrote {_shown(files.unit)}")
    if missing:
        invocation.say(
            f"not started: set {', '.join(missing)} in {_shown(files.environment)}, and run this command again"
        )
    else:
        invocation.say(f"{files.name} is started, and with each login; `loginctl enable-linger` starts it without one")
    return ExitCode.OK


@service_command.command("status")
@json_option
@pass_invocation
def status_command(invocation: Invocation) -> int:
    """Say whether the service is installed and running. Exit: 0 it runs, 1 it does not."""
    files, systemctl = _files(invocation), _manager(invocation)
    state = _show(systemctl, files)
    running = state.get("ActiveState") == "active"
    if invocation.json:
        invocation.out_json(
            {
                "unit": str(files.unit),
                "installed": files.unit.exists(),
                "active": state.get("ActiveState"),
                "enabled": state.get("UnitFileState"),
                "pid": int(state["MainPID"]) if state.get("MainPID", "").isdigit() else None,
            }
        )
    elif not files.unit.exists():
        invocation.out(invocation.hinted(f"{files.name} is not installed: `nightdesk service install`"))
    else:
        pid = f", pid {state['MainPID']}" if running and "MainPID" in state else ""
        enabled = state.get("UnitFileState") or "unknown"
        invocation.out(
            f"{files.name} is {state.get('ActiveState', 'unknown')} ({state.get('SubState', '-')}{pid}), {enabled}; "
            f"restarts: {state.get('NRestarts', '-')}",
            f"unit         {_shown(files.unit)}",
            f"environment  {_shown(files.environment)}",
        )
    return ExitCode.OK if running else ExitCode.AGENT


@service_command.command("remove")
@json_option
@pass_invocation
def remove_command(invocation: Invocation) -> int:
    """Stop the service and remove its unit. Open runs go to a background supervisor; the environment file stays."""
    refuse_if_locked(invocation, "service remove")
    files, systemctl = _files(invocation), _manager(invocation)
    try:
        if not files.unit.exists():
            raise CommandError(ExitCode.USAGE, f"{files.name} is not installed")
        if not is_ours(files.unit):
            message = f"{_shown(files.unit)} was not written by nightdesk service install, and stays"
            raise CommandError(ExitCode.USAGE, message)
        _require(systemctl, "disable", "--now", files.name)
        files.unit.unlink()
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"the service cannot be removed: {os_error_text(error)}") from None
    with suppress(NoManager):
        systemctl.run("daemon-reload")
    guard = asyncio.run(_guard_open_runs(invocation))
    if invocation.json:
        invocation.out_json({"removed": str(files.unit), "environment": str(files.environment), "guard": guard})
    else:
        invocation.say(f"removed {_shown(files.unit)}; {_shown(files.environment)} stays, with the keys in it")
        invocation.say(*([f"the open runs go on, supervised by {guard}"] if guard else []))
    return ExitCode.OK


async def _guard_open_runs(invocation: Invocation) -> str | None:
    """Have a background supervisor take the runs that the service left. Return in words which; None for no runs."""
    if invocation.loaded_settings is None or not (invocation.folder / DATABASE).exists():
        return None
    async with opened(invocation) as app:
        if not unguarded_runs(await app.engine.queries.snapshot()):
            return None
        try:
            return await hand_over(invocation, app)
        except HandoverFailed as error:
            raise CommandError(
                ExitCode.UNCONFIRMED, f"{error}; the open runs have no supervisor: run `nightdesk`"
            ) from None


def _serve_words(invocation: Invocation) -> tuple[str, ...]:
    """The command line of the service, all paths absolute."""
    script = Path(sys.executable).with_name(NAME)
    program = (str(script),) if script.exists() else (sys.executable, "-P", "-m", "console")
    return (*program, "--config", str(invocation.config.path), "--state-dir", str(invocation.folder), "serve")


def _files(invocation: Invocation) -> UnitFiles:
    settings: Settings | None = invocation.settings_if_usable()
    name, context = settings.store.name if settings else None, invocation.context
    return UnitFiles.of(name or (context.name if context is not None else None), invocation.environment)


def _manager(invocation: Invocation) -> Systemctl:
    """The user's manager. Raises CommandError where there is none."""
    systemctl = Systemctl(invocation.environment)
    try:
        systemctl.require()
    except NoManager as error:
        raise CommandError(ExitCode.USAGE, f"no systemd for this user: {error}; {INSTEAD}") from None
    return systemctl


def _show(systemctl: Systemctl, files: UnitFiles) -> dict[str, str]:
    try:
        return systemctl.show(files.name)
    except NoManager as error:
        raise CommandError(ExitCode.USAGE, str(error)) from None


def _require(systemctl: Systemctl, *words: str) -> None:
    """Run one command of systemctl. Raises CommandError with what it said."""
    try:
        code, said = systemctl.run(*words)
    except NoManager as error:
        raise CommandError(ExitCode.USAGE, str(error)) from None
    if code:
        why = sanitize(said.strip(), limit=300) or f"exit {code}"
        raise CommandError(ExitCode.USAGE, f"`systemctl --user {' '.join(words)}` failed: {why}")


def _shown(path: Path) -> str:
    return sanitize(str(path), limit=300)
