"""How this program is called from a shell of the same person: by its name where that leads somewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

NAME = "nightdesk"


def program(environment: Mapping[str, str]) -> tuple[str, ...]:
    """`nightdesk` where the search path has it, else the one of this installation, else Python with the module."""
    if shutil.which(NAME, path=environment.get("PATH", "")) is not None:
        return (NAME,)
    beside = Path(sys.executable).with_name(NAME)
    return (str(beside),) if beside.exists() else (sys.executable, "-m", "console")
