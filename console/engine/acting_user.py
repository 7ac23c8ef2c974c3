"""The name that is recorded with every action: the user of this process, as the operating system knows it.

The console and the command line share this function, so an action is recorded the same way whichever door it came
through. Environment variables that name a user (LOGNAME, USER) are not read: anybody can set them. What other variables
say stands beside the name and never in its place.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass

from console.domain.text import sanitize

MAX_NAME = 64
"""Characters of a user name that are recorded."""
MAX_BY = 4 * MAX_NAME
"""Characters of everything that is recorded about who acted."""
_RECORDED = re.compile(r"(?P<user>.*?)(?: \((?P<about>[^()]*)\))? tty=(?P<tty>yes|no)", re.DOTALL)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The parts of what `acting_user` returned; None for what is not known."""

    user: str
    sudo_by: str | None = None
    address: str | None = None
    says: str | None = None
    has_terminal: bool | None = None

    @classmethod
    def parse(cls, by: str) -> Actor:
        """Split what was recorded. Text of another form, as of the scheduler, is the user as a whole."""
        found = _RECORDED.fullmatch(by)
        if found is None:
            return cls(user=by)
        facts = dict.fromkeys(("sudo by", "from", "says:"), "")
        for about in (found["about"] or "").split("; "):
            for name in facts:
                if about.startswith(f"{name} "):
                    facts[name] = about.removeprefix(f"{name} ")
        return cls(
            user=found["user"],
            sudo_by=facts["sudo by"] or None,
            address=facts["from"] or None,
            says=facts["says:"] or None,
            has_terminal=found["tty"] == "yes",
        )


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
