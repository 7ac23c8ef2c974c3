"""The name that is recorded with every action: the user of this process, as the operating system knows it.

The console and the command line share this function, so an action is recorded the same way whichever door it came
through. Environment variables that name a user (LOGNAME, USER) are not read: anybody can set them. What other variables
say stands beside the name and never in its place.

Kept apart because the console and the command line share it.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping

from console.domain.text import sanitize

MAX_NAME = 64
"""Characters of a user name that are recorded."""
MAX_BY = 4 * MAX_NAME
"""Characters of everything that is recorded about who acted."""
DECLARED = "NIGHTDESK_OPERATOR"
"""The variable with which people who share an account say who they are."""


def acting_user(environment: Mapping[str, str], *, has_terminal: bool) -> str:
    """`alice tty=yes`, `root (sudo by alice; from 10.0.0.5; says: Alice B.) tty=no`.

    The name is that of the real user id, or its number without an entry in the user database. In parentheses, where it
    is known: the user who called sudo, the address of the SSH client, and the name that NIGHTDESK_OPERATOR declares,
    which anybody can set.
    """
    name = user_name()
    sudo, declared = (_cleaned(environment.get(each, "")) for each in ("SUDO_USER", DECLARED))
    address = re.sub(r"[^0-9A-Za-z.:%]", "", environment.get("SSH_CONNECTION", "").partition(" ")[0])[:MAX_NAME]
    about = (
        f"sudo by {sudo}" if sudo and sudo != name else "",
        f"from {address}" if address else "",
        f"says: {declared}" if declared else "",
    )
    more = "; ".join(filter(None, about))
    return f"{name}{f' ({more})' if more else ''} tty={'yes' if has_terminal else 'no'}"


def user_name() -> str:
    """The name of the real user id, sanitized."""
    user_id = os.getuid()
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
    return sanitize(name, limit=MAX_NAME) or str(user_id)


def _cleaned(text: str) -> str:
    """Text of the environment that cannot be taken for the other parts of the name."""
    return re.sub(r"[();]", "", sanitize(text, limit=MAX_NAME)).strip()
