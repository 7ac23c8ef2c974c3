"""What the terminal is capable of. Decided before Textual is imported, because Textual reads its settings at import."""

from __future__ import annotations

import sys
from collections.abc import Mapping, MutableMapping
from typing import TextIO

from console.ui.glyphs import ASCII, UNICODE, Glyphs

SSH_FPS, LOCAL_FPS = "15", "30"
NO_UNICODE_TERMS = frozenset({"linux", "vt52", "vt100", "vt102", "vt220", "ansi", "cons25", "sun"})
"""TERM values of terminals whose fonts have few signs besides letters."""
FEW_COLOURS = frozenset({"linux", "xterm", "ansi", "screen", "cygwin", "rxvt", "cons25"}) | NO_UNICODE_TERMS
"""TERM values without 256 colours, unless COLORTERM is set."""


def why_no_screen(environ: Mapping[str, str], stdin: TextIO, stdout: TextIO) -> str | None:
    """Why no console can be shown here, in one line; None if one can."""
    if not stdin.isatty() or not stdout.isatty():
        return "no terminal: the console needs one at its input and output"
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        return f"TERM is {term or 'not set'}: the console needs a terminal that can move its cursor"
    return None


def prepare_environment(environ: MutableMapping[str, str]) -> None:
    """Set what Textual reads at import: no animations, few frames. Values that are set already are kept."""
    for name in ("COLUMNS", "LINES"):
        # Rich and Textual would take these for the size of the terminal.
        environ.pop(name, None)
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    environ.setdefault("TEXTUAL_FPS", SSH_FPS if is_remote(environ) else LOCAL_FPS)
    if environ.get("NO_COLOR") == "":
        # An empty NO_COLOR means nothing (no-color.org), but Textual would obey it.
        del environ["NO_COLOR"]


def is_remote(environ: Mapping[str, str]) -> bool:
    """True for a session over SSH."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))


def wants_mouse(environ: Mapping[str, str], asked: bool | None) -> bool:
    """`asked` if it is given; else True, but False over SSH, where text must be selectable with the mouse."""
    return not is_remote(environ) if asked is None else asked


def knows_titles(environ: Mapping[str, str]) -> bool:
    """True for terminals that are known to have window titles; others may print the text."""
    return environ.get("TERM", "").startswith(("xterm", "screen", "tmux", "rxvt", "alacritty", "foot", "wezterm"))


def fitting_glyphs(environ: Mapping[str, str], encoding: str | None) -> Glyphs:
    """The set of signs that the encoding and the font of the terminal can show.

    `LC_ALL`, `LC_CTYPE` or `LANG` set to C or POSIX, or NIGHTDESK_ASCII, asks for ASCII, whatever Python makes of it.
    """
    # In a C locale Python turns its UTF-8 mode on and sets LC_CTYPE itself (PEP 538, 540).
    names = ("LC_ALL", "LANG") if sys.flags.utf8_mode else ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((environ[name] for name in names if environ.get(name)), "")
    if environ.get("NIGHTDESK_ASCII", "") not in ("", "0") or locale in ("C", "POSIX"):
        return ASCII
    try:
        "".join([*UNICODE.states.values(), *UNICODE.outcomes.values(), UNICODE.full]).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return ASCII if environ.get("TERM") in NO_UNICODE_TERMS else UNICODE


def fitting_theme(environ: Mapping[str, str]) -> str:
    """The theme for this terminal: `mono`, `sixteen` or `night`."""
    if environ.get("NO_COLOR"):
        return "mono"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "night"
    return "sixteen" if environ.get("TERM", "") in FEW_COLOURS else "night"
