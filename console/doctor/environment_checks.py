"""What a launch and a screen need beside the store: the config, the API key, the terminal."""

from __future__ import annotations

import os
import shutil
import stat

from console.cli.exit_codes import CommandError
from console.doctor.runner import Case, Check, Found, Level, Part


def config(case: Case) -> Found:
    """The file is understood."""
    from console.config import ConfigError

    found = case.shell.config
    try:
        settings = case.shell.settings()
    except ConfigError as error:
        yield from ((Level.FAIL, problem) for problem in error.problems)
        return
    except CommandError as error:
        yield Level.FAIL, str(error)
        return
    scheduled = sum(task.schedule is not None for task in settings.tasks)
    told = f"{found.path} (by {found.why}): {len(settings.tasks)} tasks, {scheduled} scheduled"
    yield Level.OK if settings.tasks else Level.WARN, told


def key(case: Case) -> Found:
    """The API key is there and is nobody else's to read. It is never shown."""
    if case.settings is None:
        yield Level.WARN, "where it is stands in the config, which cannot be used"
        return
    from console.provider.http.secret import Secret

    source = case.settings.provider.api_key
    try:
        if source.file:
            Secret.from_file(source.file)
            mode = stat.S_IMODE(source.file.expanduser().stat().st_mode)
            yield Level.OK, f"in the file {source.file} (mode {mode:04o})"
        else:
            Secret.from_env(source.env or "", case.shell.environment)
            yield Level.OK, f"in the environment variable {source.env}"
    except ValueError as error:
        yield Level.FAIL, str(error)


def terminal(case: Case) -> Found:
    """What the console can show here."""
    from console.ui.glyphs import ASCII
    from console.ui.terminal.capabilities import fitting_glyphs, fitting_theme, is_remote, why_no_screen

    environment, stdout = case.shell.environment, case.shell.stdout
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
    why = why_no_screen(environment, case.shell.stdin, stdout)
    if why is not None:
        yield Level.OK, f"{why}; there the plain table is printed; " + ", ".join(filter(None, facts))
        return
    small = size.columns < 80 or size.lines < 24
    told = f"{size.columns}x{size.lines}, " + ", ".join(filter(None, facts))
    yield (Level.WARN, f"{told}; the console is made for 80x24 and more") if small else (Level.OK, told)


def background(case: Case) -> Found:
    """What becomes of runs that are left behind."""
    if case.shell.environment.get("INVOCATION_ID"):
        yield (
            Level.OK,
            "under systemd: a stopped `serve` starts no background supervisor, its runs wait for the restart",
        )
    elif os.geteuid() == 0:
        yield Level.OK, "a background supervisor takes over what is left behind; everything here runs as root"
    else:
        yield Level.OK, "a background supervisor takes over what is left behind"


AROUND_CHECKS = (
    Check(name="config", part=Part.CONFIG, look=config),
    Check(name="key", part=Part.CONFIG, look=key),
    Check(name="terminal", part=Part.AROUND, look=terminal),
    Check(name="background", part=Part.AROUND, look=background),
)
