"""Named contexts: each is a config file `NAME.toml` in the config folder, and the state folder that it names.

A config elsewhere becomes a context by a symbolic link. No context is remembered as the one in use: every process is
told its context or its files, so that no command acts on a ledger that another terminal chose.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.locations import (
    CONFIG_NAME,
    CONFIG_VARIABLE,
    STATE_FLAG,
    STATE_VARIABLE,
    Location,
    configured_state_folder,
    state_folder,
    user_config_folder,
)
from console.domain.text import sanitize

CONTEXT_FLAG = "--context"
CONTEXT_VARIABLE = "NIGHTDESK_CONTEXT"
SUFFIX = ".toml"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedContext:
    """A config file with a name."""

    name: str
    path: Path
    """Absolute, without symbolic links: relative paths in a config start at its own folder."""
    why: str = ""
    """How it was chosen: `--context prod`, or the variable of the environment."""

    @property
    def is_usual(self) -> bool:
        """True for the config that is used where none is named; it alone may leave its state folder to the system."""
        return self.name + SUFFIX == CONFIG_NAME

    @property
    def config(self) -> Location:
        """The config file."""
        return Location(path=self.path, why=self.why, exists=self.path.exists())

    def state(self, environment: Mapping[str, str], configured: Path | None = None) -> Location:
        """Return the state folder; `configured` is what a loaded config names. Raises CommandError without one."""
        configured = configured or configured_state_folder(self.path)
        if configured is None and not self.is_usual:
            raise CommandError(
                ExitCode.USAGE,
                f"context {self.name}: {sanitize(str(self.path))} names no state folder; set state_dir under [store], "
                "so that this context shares its caps and keys with no other",
            )
        others = {name: value for name, value in environment.items() if name != STATE_VARIABLE}
        return state_folder(None, others, self.path.parent, configured)


def chosen_context(
    flag: str | None, environment: Mapping[str, str], *, config_flag: str | None, state_flag: str | None
) -> NamedContext | None:
    """Return the context that a command line or its environment names; None for none.

    `--config` counts more than the variable. Raises CommandError for a context that is not known, and where other
    options, or variables beside the variable, name the same files.
    """
    if flag:
        for option, value in (("--config", config_flag), (STATE_FLAG, state_flag)):
            if value:
                raise _twice(CONTEXT_FLAG, option)
        return find_context(flag, f"{CONTEXT_FLAG} {flag}")
    named = environment.get(CONTEXT_VARIABLE)
    if not named or config_flag:
        return None
    if state_flag:
        raise _twice(CONTEXT_VARIABLE, STATE_FLAG)
    for variable in (CONFIG_VARIABLE, STATE_VARIABLE):
        if environment.get(variable):
            raise _twice(CONTEXT_VARIABLE, variable)
    return find_context(named, CONTEXT_VARIABLE)


def _twice(one: str, other: str) -> CommandError:
    return CommandError(
        ExitCode.USAGE, f"{one} and {other} are both given; a context names the config and the state folder: leave one"
    )


def find_context(name: str, why: str = "") -> NamedContext:
    """Return the context of that name. Raises CommandError, with the nearest name and the known ones."""
    path = context_file(name)
    if not os.path.lexists(path):
        known = [context.name for context in known_contexts()]
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise CommandError(
            ExitCode.USAGE,
            f"no context is named {sanitize(name, limit=64)!r}{sanitize(meant)}; known contexts: "
            f"{sanitize(', '.join(known), limit=400) or 'none'}; a context is a config file {sanitize(str(path))}",
        )
    if path.lstat().st_uid not in (os.geteuid(), 0):
        raise CommandError(ExitCode.USAGE, f"context {name}: {sanitize(str(path))} belongs to another user")
    return NamedContext(name=name, path=Path(os.path.realpath(path)), why=why)


def context_file(name: str) -> Path:
    """Return where the config of that context is, or would be. Raises CommandError for what cannot be a name."""
    if not _NAME.fullmatch(name):
        shown = sanitize(name, limit=64)
        raise CommandError(
            ExitCode.USAGE, f"{shown!r} cannot name a context; accepted: 1 to 64 characters of A-Z a-z 0-9 . _ -"
        )
    return user_config_folder() / f"{name}{SUFFIX}"


def context_state_folder(name: str, environment: Mapping[str, str]) -> Path:
    """Return the state folder for a new context: beside the usual one. Raises CommandError."""
    others = {variable: value for variable, value in environment.items() if variable != STATE_VARIABLE}
    usual = state_folder(None, others, Path("/")).path
    return usual if name + SUFFIX == CONFIG_NAME else usual.with_name(f"{usual.name}-{name}")


def known_contexts() -> tuple[NamedContext, ...]:
    """Return all contexts by name; none without a config folder."""
    try:
        found = sorted(path for path in user_config_folder().glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem))
    except (CommandError, OSError):
        return ()
    return tuple(NamedContext(name=path.stem, path=Path(os.path.realpath(path))) for path in found)
