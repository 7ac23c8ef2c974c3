"""Where the config file and the state folder are: flags before the environment, the environment before the file system.

The config is looked for in the working folder, then in the XDG config folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIG_NAME = "nightdesk.toml"
CONFIG_VARIABLE = "NIGHTDESK_CONFIG"
STATE_VARIABLE = "NIGHTDESK_STATE_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A place and how it was found."""

    path: Path
    """Absolute."""
    why: str
    exists: bool


def config_file(flag: str | None, environment: Mapping[str, str], working: Path) -> Found:
    """The config file to use; where there is none, the one that `init` would write."""
    if flag:
        return _found(working, flag, "--config")
    if named := environment.get(CONFIG_VARIABLE):
        return _found(working, named, CONFIG_VARIABLE)
    here = _found(working, CONFIG_NAME, "the working folder")
    if here.exists:
        return here
    home = _found(user_config_folder(), CONFIG_NAME, "the config folder")
    return home if home.exists else here


def state_folder(flag: str | None, environment: Mapping[str, str], working: Path) -> Found:
    """The state folder to use; first use makes it."""
    if flag:
        return _found(working, flag, "--state-dir")
    if named := environment.get(STATE_VARIABLE):
        return _found(working, named, STATE_VARIABLE)
    from platformdirs import user_state_path

    return _found(working, str(user_state_path("nightdesk", appauthor=False)), "the state folder")


def user_config_folder() -> Path:
    """`$XDG_CONFIG_HOME/nightdesk`: the config file, and `themes/` with palettes of one's own."""
    from platformdirs import user_config_path

    return user_config_path("nightdesk", appauthor=False)


def _found(folder: Path, name: str, why: str) -> Found:
    try:
        path = folder / Path(name).expanduser()
    except RuntimeError:
        path = folder / name
    return Found(path=path, why=why, exists=os.path.exists(path))
