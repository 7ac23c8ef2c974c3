"""How to start this program again: as a child process, and from the shell of the same person.

Kept apart because commands, the drill and the demo need it, and it needs nothing.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import console

NAME = "nightdesk"

# By path and with -P, so that a folder named `console` in the working directory is never imported instead.
_START = "import sys; sys.path.append(sys.argv.pop(1)); from console.__main__ import main; main()"


def own_command(*words: str) -> list[str]:
    """Return the argv that runs this very installation with `words`, from any working directory."""
    return [sys.executable, "-P", "-c", _START, str(Path(console.__file__).resolve().parent.parent), *words]


def shell_command(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that start this program in a shell.

    `nightdesk` if PATH has it, else the script of this installation, else Python with the module.
    """
    if shutil.which(NAME, path=environment.get("PATH", "")) is not None:
        return (NAME,)
    script = Path(sys.executable).with_name(NAME)
    return (str(script),) if script.exists() else (sys.executable, "-m", "console")
