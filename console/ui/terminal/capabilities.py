"""What kind of terminal this is, found out before Textual is imported, which reads its settings only then."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TextIO

from console.ui.glyphs import ASCII, UNICODE, Glyphs

SSH_FPS, LOCAL_FPS = "15", "30"
NO_UNICODE_TERMS = frozenset({"linux", "vt52", "vt100", "vt102", "vt220", "ansi", "cons25", "sun"})
"""Terminals whose font has hardly more than letters."""
FEW_COLOURS = frozenset({"linux", "xterm", "ansi", "screen", "cygwin", "rxvt", "cons25"}) | NO_UNICODE_TERMS
"""TERM values without 256 colours, unless COLORTERM says otherwise."""


def why_no_screen(environ: Mapping[str, str], stdin: TextIO, stdout: TextIO) -> str | None:
    """One line that says why there can be no screen; None where there can."""
    if not stdin.isatty() or not stdout.isatty():
        return "no terminal: the console needs one at its input and output"
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        return f"TERM is {term or 'not set'}: the console needs a terminal that can move its cursor"
    return None


def prepare_environment(environ: MutableMapping[str, str]) -> None:
    """What Textual reads at its import: no animations, few frames. Whoever set these before keeps them."""
    for name in ("COLUMNS", "LINES"):
        # Rich and Textual would take them for the size of the terminal.
        environ.pop(name, None)
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    environ.setdefault("TEXTUAL_FPS", SSH_FPS if is_remote(environ) else LOCAL_FPS)
    if environ.get("NO_COLOR") == "":
        # By no-color.org an empty NO_COLOR means nothing; Textual would obey it.
        del environ["NO_COLOR"]


def is_remote(environ: Mapping[str, str]) -> bool:
    """True at the far end of SSH, where motion reports cost and copying with the mouse must work."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))


def wants_mouse(environ: Mapping[str, str], asked: bool | None) -> bool:
    """What was asked for; else on, but not over SSH, where it would take selecting and copying away."""
    return not is_remote(environ) if asked is None else asked


def knows_titles(environ: Mapping[str, str]) -> bool:
    """True where naming the window is no risk: a terminal without one may print the words."""
    return environ.get("TERM", "").startswith(("xterm", "screen", "tmux", "rxvt", "alacritty", "foot", "wezterm"))


def fitting_glyphs(environ: Mapping[str, str], encoding: str | None) -> Glyphs:
    """The signs that the terminal's encoding and font can show."""
    try:
        "".join([*UNICODE.states.values(), *UNICODE.outcomes.values(), UNICODE.full]).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return ASCII if environ.get("TERM") in NO_UNICODE_TERMS else UNICODE


def fitting_theme(environ: Mapping[str, str]) -> str:
    """The theme that comes up by itself: `mono`, `sixteen` or `night`."""
    if environ.get("NO_COLOR"):
        return "mono"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "night"
    return "sixteen" if environ.get("TERM", "") in FEW_COLOURS else "night"
