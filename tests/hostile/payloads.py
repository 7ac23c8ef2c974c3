"""Texts that would act on a terminal, or on a screen that interprets markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

from console.domain.text import is_unsafe

ESC, BEL, ST = "\x1b", "\x07", "\x1b\\"

CONTROL = (
    f"{ESC}]0;OWNED{BEL}",
    f"{ESC}]2;OWNED{ST}",
    f"{ESC}]52;c;T1dORUQ={BEL}",
    f"{ESC}]52;c;T1dORUQ={ST}",
    f"{ESC}]8;;http://owned.example{ST}click{ESC}]8;;{ST}",
    f"{ESC}]9;OWNED{BEL}",
    f"{ESC}]10;?{BEL}",
    f"{ESC}]1337;File=inline=1:T1dORUQ={BEL}",
    f"{ESC}[2J{ESC}[99;137HOWNED",
    f"{ESC}[41;5;8mOWNED",
    f"{ESC}[6n",
    f"{ESC}[>0c",
    f"{ESC}[?1047l",
    f"{ESC}[?1003h",
    f"{ESC}[7777C",
    f"{ESC}[5;9r",
    f"{ESC}[21t",
    f"{ESC}c",
    f"{ESC}(0lqqk",
    f'{ESC}P$q"p{ST}',
    f"{ESC}P+q544e{ST}",
    f"{ESC}_OWNED{ST}",
    f"{ESC}^OWNED{ST}",
    "\x9b31mOWNED",
    "\x9d52;c;T1dORUQ=\x9c",
    "\x90q\x9c",
    "a\x08\x08\x08b\x07c\x0bd\x0ce\rf",
    "g\x0e\x0fh\x7fi",
    "\u202edesrever\u202c \u2066x\u2069 \u200bzero\u200d\ufeff\u00ad",
    "tag\U000e0041\U000e007f line\u2028para\u2029 private\ue000 last\U0010fffe",
)
"""Control sequences in 7 and 8 bits, bare control characters, and characters that hide or reverse text."""

MARKUP = (
    "[/]",
    "[/bold]",
    "[bold red]loud",
    "[@click=app.quit]press[/]",
    "[@click='app.exit']press",
    "[link=http://owned.example]x[/link]",
    "[on red",
    "\\[",
    "[[]]",
    "[$error]x[/$error]",
    ":warning:",
    "]8;;",
)

_OURS = re.compile(
    r"\x1b\[[0-9]*[AB]\x08|\x1b\[[?>=<]?[0-9;]*(?:\$p|[ABCDHJKhlmpu])"
    r"|\x1b\[2[23];2t|\x1b\]2;(?:nightdesk [A-Za-z0-9._-]+(?:: [a-z ]+)?)?\x07"
)
"""What the driver and coloured tables may send: cursor moves (some followed by a backspace), erasures, modes, colours,
the kitty keyboard protocol, and the title of the window: the name of the host or ledger and fixed words."""


def acting(received: bytes) -> Iterator[str]:
    """Yields what in the bytes of a terminal can only come from a payload and would act."""
    text = received.decode("utf-8", "surrogateescape")
    for match in _OURS.finditer(text):
        if match[0] in _NOT_OURS:
            yield f"the sequence {match[0]!r}"
    rest = _OURS.sub("", text).replace("\r", "").replace("\n", "")
    for place, character in enumerate(rest):
        if is_unsafe(character):
            yield f"{character!r} in {rest[max(0, place - 30) : place + 30]!r}"


_NOT_OURS = frozenset({f"{ESC}[99;137H", f"{ESC}[41;5;8m", f"{ESC}[7777C", f"{ESC}[?1003h", f"{ESC}[?1047l"})
