"""Reloads the config of a process that goes on launching, when the file changes or on SIGHUP: whole or not at all.

Caps are shared by all processes on a state folder, so none of them may go on judging by an older file than the one
that the operator sees.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from console.app import engine_settings
from console.cli.locations import theme_names
from console.config import ConfigError, Settings, load
from console.engine.concerns import Concern
from console.engine.engine import Engine

EVERY_S = 2.0
TOPIC = "config file"


class ConfigWatch:
    """Compares the files with those that were loaded, and hands new settings to the engine."""

    def __init__(self, engine: Engine, path: Path, settings: Settings, on_reload: Callable[[Settings], None]) -> None:
        """`on_reload` takes the settings that are in force from now on."""
        self._engine = engine
        self._path = path
        self._settings = settings
        self._on_reload = on_reload
        # The first check loads the file in any case: it may have changed since `settings` were read.
        self._seen: tuple[FileState, ...] = ()
        self._trouble = ""
        """Why the file of now is not in force."""

    def start(self) -> None:
        """Check every two seconds until the engine hands over."""
        self._engine.add_concern(Concern(name="config", round=self.check, every_s=EVERY_S))

    async def check(self) -> None:
        """Reload the file where it, or a file of a prompt, has changed or was not loaded before."""
        state = tuple(map(_state_of, (self._path, *self._settings.prompt_files)))
        if state != self._seen or self._trouble:
            self._seen = state
            self.reload()

    def reload(self) -> None:
        """Load the file now. Where that does not work the settings of before stay in force, and a problem says so."""
        trouble = self._load()
        if trouble and trouble != self._trouble:
            self._engine.problems.report(TOPIC, f"the config is not reloaded{trouble}", lasting=True)
        elif not trouble:
            self._engine.problems.clear(TOPIC)
        self._trouble = trouble

    def _load(self) -> str:
        """Put the file into force. Return why it is not, or an empty text."""
        try:
            settings = load(self._path, theme_names)
        except ConfigError as error:
            first = str(error).splitlines()[0] if str(error) else "it cannot be read"
            return f", the one of before stays in force: {first}"
        for table, changed in (
            ("[provider]", settings.providers != self._settings.providers),
            ("state_dir", settings.store.state_dir != self._settings.store.state_dir),
            ("[store]", settings.store.fleet != self._settings.store.fleet),
        ):
            if changed:
                return f": {table} has changed, which takes a restart"
        if settings != self._settings:
            self._settings = settings
            self._engine.reload(engine_settings(settings, self._engine.settings.kind))
            self._on_reload(settings)
        return ""


FileState = tuple[int, ...] | None


def _state_of(path: Path) -> FileState:
    """What changes when a file is written or replaced; None where it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # The time of the last write may be set to any value (`touch -r`, `rsync -t`), that of the last change may not.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev, found.st_ino
