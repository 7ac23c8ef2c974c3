"""Reloads the config of a process that goes on launching, when the file changes or on SIGHUP: whole or not at all.

Caps are shared by all processes on a state folder, so none of them may go on judging by an older file than the one
that the operator sees.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from console.app import engine_settings
from console.config import ConfigError, Settings, load
from console.engine.concerns import Concern
from console.engine.engine import Engine

EVERY_S = 2.0
TOPIC = "config file"


class ConfigWatch:
    """Compares the file with the one that was loaded, and hands new settings to the engine."""

    def __init__(self, engine: Engine, path: Path, settings: Settings, on_reload: Callable[[Settings], None]) -> None:
        """`on_reload` takes the settings that are in force from now on."""
        self._engine = engine
        self._path = path
        self._settings = settings
        self._on_reload = on_reload
        self._seen = _state_of(path)

    def start(self) -> None:
        """Check every two seconds until the engine hands over."""
        self._engine.add_concern(Concern(name="config", round=self.check, every_s=EVERY_S))

    async def check(self) -> None:
        """Reload the file where it changed."""
        state = _state_of(self._path)
        if state != self._seen:
            self._seen = state
            self.reload()

    def reload(self) -> None:
        """Load the file now. Where that does not work the settings of before stay in force, and a problem says so."""
        problems = self._engine.problems
        try:
            settings = load(self._path)
        except ConfigError as error:
            first = str(error).splitlines()[0] if str(error) else "it cannot be read"
            problems.report(
                TOPIC, f"the config is not reloaded, the one of before stays in force: {first}", lasting=True
            )
            return
        except OSError as error:
            problems.report(
                TOPIC, f"the config is not reloaded, the one of before stays in force: {error.strerror}", lasting=True
            )
            return
        if settings.provider != self._settings.provider:
            problems.report(
                TOPIC, "the config is not reloaded: [provider] has changed, which takes a restart", lasting=True
            )
            return
        problems.clear(TOPIC)
        if settings == self._settings:
            return
        self._settings = settings
        self._engine.reload(engine_settings(settings, self._engine.settings.kind))
        self._on_reload(settings)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
