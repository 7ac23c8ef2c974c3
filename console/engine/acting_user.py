"""The name that is recorded with every action: the user of this process, as the operating system knows it.

The console and the command line share this function, so an action is recorded the same way whichever door it came
through. Environment variables that name a user (LOGNAME, USER) are not read: anybody can set them.

Kept apart because the console and the command line share it.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

from console.domain.text import sanitize

MAX_NAME = 64
"""Characters of a user name that are recorded."""


def acting_user(environment: Mapping[str, str], *, has_terminal: bool) -> str:
    """`alice tty=yes`, `root (sudo by alice) tty=no`: the name of the real user id and whether a terminal is attached.

    A user id without an entry in the password database is recorded as its number. The part in parentheses is what
    `SUDO_USER` says; it never replaces the name of the user id.
    """
    name = _user_name()
    sudo = sanitize(environment.get("SUDO_USER", ""), limit=MAX_NAME).strip()
    if sudo and sudo != name:
        name = f"{name} (sudo by {sudo})"
    return f"{name} tty={'yes' if has_terminal else 'no'}"


def _user_name() -> str:
    user_id = os.getuid()
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
    return sanitize(name, limit=MAX_NAME) or str(user_id)
