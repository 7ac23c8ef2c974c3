"""Where the config file and the state folder are: a flag wins over the environment, and that over the config file.

Without any of these the config is looked for in the working folder and then in the XDG config folder, and the state
folder is the one of XDG.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from console.cli.exit_codes import CommandError, ExitCode
from console.domain.text import sanitize
from console.trusted_files import MAX_CONFIG, Unreadable, read_bounded

PACKAGED_THEMES = tuple(Path(__file__).parents[1].joinpath(*up, "themes") for up in ((), ("..",)))
"""Where the packaged themes are: in an installation, and in a checkout."""
CONFIG_NAME = "nightdesk.toml"
CONFIG_VARIABLE = "NIGHTDESK_CONFIG"
STATE_FLAG = "--state-dir"
STATE_VARIABLE = "NIGHTDESK_STATE_DIR"
NO_HOME = (
    "no home folder is known: HOME is not set and this user is not in the user database; "
    "set HOME, or give both --state-dir and --config"
)
DEFAULT_STATE_FOLDER = "the state folder"
"""How the state folder was found where nobody named one."""
_STATE_DIR_LINE = re.compile(r"""^\s*state_dir\s*=\s*(?:"([^"\\]*)"|'([^']*)')""", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A path and how it was found."""

    path: Path
    """Absolute."""
    why: str
    exists: bool

    @property
    def is_default(self) -> bool:
        """True for the state folder of a process that was given none."""
        return self.why == DEFAULT_STATE_FOLDER


def config_file(flag: str | None, environment: Mapping[str, str], working: Path) -> Location:
    """Return the config file to use; if there is none, the one that `init` would write. Raises CommandError."""
    if flag:
        return _location(working, flag, "--config")
    if named := environment.get(CONFIG_VARIABLE):
        return _location(working, named, CONFIG_VARIABLE)
    here = _location(working, CONFIG_NAME, "the working folder")
    if here.exists:
        return here
    home = _location(user_config_folder(), CONFIG_NAME, "the config folder")
    return home if home.exists else here


def state_folder(
    flag: str | None, environment: Mapping[str, str], working: Path, configured: Path | None = None
) -> Location:
    """Return the state folder to use; first use creates it. `configured` is what the config file names.

    Raises CommandError.
    """
    if flag:
        return _location(working, flag, STATE_FLAG)
    if named := environment.get(STATE_VARIABLE):
        return _location(working, named, STATE_VARIABLE)
    if configured is not None:
        return _location(working, str(configured), "state_dir in the config")
    # Loaded only where it is needed: most invocations name their folders.
    from platformdirs import user_state_path

    if not environment.get("XDG_STATE_HOME"):
        _check_home()
    return _location(working, str(user_state_path("nightdesk", appauthor=False)), DEFAULT_STATE_FOLDER)


def configured_state_folder(config: Path) -> Path | None:
    """Return the state folder that a config file names, even if the rest of the file cannot be used."""
    try:
        text = read_bounded(config, most=MAX_CONFIG).decode("utf-8-sig")
    except (Unreadable, UnicodeDecodeError):
        return None
    try:
        store = tomllib.loads(text).get("store")
        named = store.get("state_dir") if isinstance(store, dict) else None
    except (ValueError, RecursionError):
        # A torn file: the line is still the best answer to where the runs are.
        found = _STATE_DIR_LINE.search(text)
        named = (found[1] or found[2]) if found else None
    if not isinstance(named, str) or not named:
        return None
    return _location(config.parent, named, "").path


def user_config_folder() -> Path:
    """Return `$XDG_CONFIG_HOME/nightdesk`, the folder of the config file and of `themes/`. Raises CommandError."""
    from platformdirs import user_config_path

    if not os.environ.get("XDG_CONFIG_HOME"):
        _check_home()
    return user_config_path("nightdesk", appauthor=False)


def themes_folder() -> Path | None:
    """Return the folder of the user's own themes; None without a home folder."""
    try:
        return user_config_folder() / "themes"
    except CommandError:
        return None


def theme_names() -> frozenset[str]:
    """Return the names of all themes, packaged and the user's own, by the names of their files."""
    folders = (*PACKAGED_THEMES, themes_folder())
    return frozenset(path.stem for folder in folders if folder is not None for path in folder.glob("*.toml"))


def _check_home() -> None:
    if not os.path.isabs(os.path.expanduser("~")):
        raise CommandError(ExitCode.USAGE, NO_HOME)


def _location(folder: Path, name: str, why: str) -> Location:
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        message = f"{sanitize(name, limit=200)!r} ({why}) names a home folder that is not known; give a full path"
        raise CommandError(ExitCode.USAGE, message) from None
    path = Path(os.path.abspath(folder / path))
    return Location(path=path, why=why, exists=os.path.exists(path))
