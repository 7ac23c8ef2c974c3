"""Checks of what surrounds the store: the config, the API key, the terminal, the background supervisor."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
from collections.abc import Mapping

from console.config import ConfigError, KeySource
from console.doctor.runner import Area, Check, Level, Results, Subject
from console.domain.formatting import counted
from console.domain.server_limit import NO_SERVER_LIMIT, ServerLimitKind
from console.domain.text import sanitize
from console.notify.channels import APPRISE_MISSING, make_channels
from console.provider.http.secret import Secret
from console.provider.services import TRAITS
from console.tracing.position import read_position
from console.tracing.receiver import MISSING, OtlpReceiver, is_installed
from console.ui.glyphs import ASCII
from console.ui.terminal.capabilities import fitting_glyphs, fitting_theme, is_remote, why_no_screen


def config(subject: Subject) -> Results:
    """Check that the config can be used."""
    try:
        settings = subject.load_settings()
    except ConfigError as error:
        yield from ((Level.FAIL, problem) for problem in error.errors)
        return
    scheduled = sum(task.schedule is not None for task in settings.tasks)
    message = (
        f"{subject.config} (by {subject.config_origin}): {counted(len(settings.tasks), 'task')}, {scheduled} scheduled"
    )
    yield Level.OK if settings.tasks else Level.WARN, message


def key(subject: Subject) -> Results:
    """Check that each API key exists and is private. It is never shown."""
    if subject.settings is None:
        yield Level.WARN, "not checked: the config file has errors"
        return

    for provider in subject.settings.providers.values():
        level, message = _key_of(provider.api_key, subject.environment)
        yield level, f"{provider.name}: {message}" if len(subject.settings.providers) > 1 else message


def _key_of(source: KeySource, environment: Mapping[str, str]) -> tuple[Level, str]:
    try:
        if source.file:
            Secret.from_file(source.file)
            mode = stat.S_IMODE(source.file.expanduser().stat().st_mode)
            return Level.OK, f"in the file {source.file} (mode {mode:04o})"
        Secret.from_env(source.env or "", environment)
    except ValueError as error:
        return Level.FAIL, str(error)
    return Level.OK, f"in the environment variable {source.env}"


def service(subject: Subject) -> Results:
    """Say what the services limit by themselves, if this program does not reach them in time."""
    if subject.settings is None:
        yield Level.WARN, "not checked: the config file has errors"
        return
    for provider in subject.settings.providers.values():
        kind = TRAITS[provider.kind].server_limit
        named = f"{provider.name}: " if len(subject.settings.providers) > 1 else ""
        yield Level.OK, named + (NO_SERVER_LIMIT if kind is ServerLimitKind.NONE else f"the service limits {kind}")


def notify(subject: Subject) -> Results:
    """Check what can be checked of the ways to tell people without telling anybody."""
    if subject.settings is None:
        yield Level.WARN, "not checked: the config file has errors"
        return
    use = subject.settings.notify
    if not use.is_on:
        yield Level.OK, "nobody is told anything while nobody is at the console ([notify] in the config)"
        return
    try:
        channels = make_channels(use, subject.environment)
    except ValueError as error:
        yield Level.FAIL, str(error)
        return
    if use.command and shutil.which(use.command[0], path=subject.environment.get("PATH", "")) is None:
        yield Level.FAIL, f"there is no program {sanitize(use.command[0], limit=200)}"
    if use.apprise_file is not None and importlib.util.find_spec("apprise") is None:
        yield Level.FAIL, APPRISE_MISSING
    names = ", ".join(channel.name for channel in channels)
    yield Level.OK, f"people are told by {names}; `nightdesk notify test` tries it"


def otel(subject: Subject) -> Results:
    """Check what can be checked of the receiver of spans without sending any."""
    if subject.settings is None:
        yield Level.WARN, "not checked: the config file has errors"
        return
    if subject.settings.otel.endpoint is None:
        yield Level.OK, "no spans of runs are sent ([otel] in the config)"
        return
    try:
        receiver = OtlpReceiver(subject.settings.otel, subject.environment)
    except ValueError as error:
        yield Level.FAIL, str(error)
        return
    if not is_installed():
        yield Level.FAIL, MISSING
        return
    position = read_position(subject.folder)
    message = f"runs that end are sent as spans to {receiver.name}"
    if position is not None and position.dropped:
        yield Level.WARN, f"{message}; those of {counted(position.dropped, 'run')} were given up so far"
    else:
        yield Level.OK, message


def terminal(subject: Subject) -> Results:
    """Report what the console can show on this terminal."""
    environment, stdout = subject.environment, subject.stdout
    encoding = getattr(stdout, "encoding", None)
    size = shutil.get_terminal_size((80, 24))
    facts = [
        f"TERM={environment.get('TERM') or 'not set'}",
        f"encoding {encoding or 'unknown'}",
        f"theme {fitting_theme(environment)}",
        "ASCII signs" if fitting_glyphs(environment, encoding) is ASCII else "Unicode signs",
        "in tmux" if environment.get("TMUX") else "",
        "over SSH: mouse off, fewer frames" if is_remote(environment) else "",
    ]
    why = why_no_screen(environment, subject.stdin, stdout)
    if why is not None:
        yield Level.OK, f"{why}; `nightdesk` prints a plain table here; " + ", ".join(filter(None, facts))
        return
    small = size.columns < 80 or size.lines < 24
    message = f"{size.columns}x{size.lines}, " + ", ".join(filter(None, facts))
    yield (Level.WARN, f"{message}; the console is made for 80x24 and more") if small else (Level.OK, message)


def background(subject: Subject) -> Results:
    """Report what happens to runs that a process leaves behind."""
    if subject.environment.get("INVOCATION_ID"):
        yield (
            Level.OK,
            "under systemd: a stopped `serve` starts no background supervisor; its runs wait for the restart",
        )
    elif os.geteuid() == 0:
        yield Level.OK, "a background supervisor takes over runs that a process leaves; everything here runs as root"
    else:
        yield Level.OK, "a background supervisor takes over runs that a process leaves"


AROUND_CHECKS = (
    Check(name="config", area=Area.CONFIG, run=config),
    Check(name="key", area=Area.CONFIG, run=key),
    Check(name="service", area=Area.CONFIG, run=service),
    Check(name="notify", area=Area.AROUND, run=notify),
    Check(name="otel", area=Area.AROUND, run=otel),
    Check(name="terminal", area=Area.AROUND, run=terminal),
    Check(name="background", area=Area.AROUND, run=background),
)
