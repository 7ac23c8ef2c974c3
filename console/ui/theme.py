"""Themes are files: the packaged ones and the operator's own. All errors in them are reported together."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App
from textual.color import Color, ColorParseError
from textual.theme import Theme

from console.ui.spans import Tone, sanitize_cell

MONO = "mono"

STYLES = frozenset({"bold", "dim", "italic", "underline", "reverse", "strike"})
BASE = ("background", "bar", "dialog", "line", "accent")
"""The colours of `[base]`; all of them are required."""

_PACKAGED = (Path(__file__).parents[1] / "themes", Path(__file__).parents[2] / "themes")
"""In the wheel the folder stands inside the package, in a checkout beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Themes:
    """The themes that could be loaded, and the errors of those that could not."""

    by_name: Mapping[str, Theme]
    problems: tuple[str, ...] = ()
    """One sanitized line for each broken file."""

    def pick(self, name: str) -> Theme:
        """The theme with that name. Raises ValueError that suggests the nearest name."""
        if name in self.by_name:
            return self.by_name[name]
        near = difflib.get_close_matches(name, self.by_name, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"theme {sanitize_cell(name)!r} is none of {', '.join(sorted(self.by_name))}{hint}")


def packaged_folder() -> Path:
    """The folder of the themes that come with the program."""
    return next((folder for folder in _PACKAGED if folder.is_dir()), _PACKAGED[0])


def load_themes(user_folder: Path | None = None) -> Themes:
    """All themes. The operator's own replace packaged ones of the same name; either folder may be missing."""
    themes: dict[str, Theme] = {}
    problems: list[str] = []
    for folder in (packaged_folder(), user_folder):
        for path in sorted(folder.glob("*.toml")) if folder is not None else ():
            try:
                themes[path.stem] = read_theme(path)
            except (ThemeError, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                problems.append(sanitize_cell(f"theme {path.name}: {error}"))
    return Themes(by_name=themes, problems=tuple(problems))


class ThemeError(ValueError):
    """A theme file has an invalid value. The text names the key and what is accepted."""


def read_theme(path: Path) -> Theme:
    """The theme in that file; the file's stem is its name. Raises ThemeError, OSError or TOMLDecodeError."""
    with path.open("rb") as file:
        content = tomllib.load(file)
    _only(content, ("title", "dark", "native", "cursor_keeps_tones", "base", "tones", "cursor"), "the file")
    base = _table(content, "base")
    _only(base, BASE, "base")
    tones = _table(content, "tones")
    _only(tones, [tone.value for tone in Tone], "tones")
    missing = [f"base.{name}" for name in BASE if name not in base]
    missing += [f"tones.{tone}" for tone in Tone if tone.value not in tones]
    if missing:
        raise ThemeError(f"missing: {', '.join(missing)}")
    colours = {name: _colour(f"base.{name}", base[name]) for name in BASE}
    variables = {f"base-{name}": colour for name, colour in colours.items()}
    for tone in Tone:
        variables |= _style_variables(f"tone-{tone}", f"tones.{tone}", tones[tone.value])
    variables |= _style_variables("cursor", "cursor", content.get("cursor", "reverse"))
    variables["cursor-tones"] = "keep" if content.get("cursor_keeps_tones", True) else "drop"
    return _theme(path.stem, content, colours, variables)


def _theme(name: str, content: Mapping[str, object], colours: Mapping[str, str], variables: dict[str, str]) -> Theme:
    plain = variables["tone-plain-color"]
    return Theme(
        name=name,
        primary=colours["accent"],
        secondary=colours["accent"],
        accent=colours["accent"],
        warning=variables["tone-warn-color"],
        error=variables["tone-bad-color"],
        success=variables["tone-ok-color"],
        foreground=plain,
        background=colours["background"],
        surface=colours["dialog"],
        panel=colours["bar"],
        dark=content.get("dark", True) is True,
        ansi=content.get("native", False) is True,
        variables=variables | _textual_variables(colours, variables),
    )


def _textual_variables(colours: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that make Textual's own inputs and scrollbars match the theme."""
    return {
        "ansi-background": colours["background"],
        "ansi-foreground": variables["tone-plain-color"],
        "border-blurred": colours["line"],
        "input-cursor-background": variables["tone-plain-color"],
        "input-cursor-foreground": colours["background"],
        "input-cursor-text-style": "reverse",
        "input-selection-background": colours["line"],
        "input-selection-foreground": variables["tone-strong-color"],
        "scrollbar": colours["line"],
        "scrollbar-hover": colours["line"],
        "scrollbar-active": colours["accent"],
        "scrollbar-background": colours["background"],
        "scrollbar-background-hover": colours["background"],
        "scrollbar-background-active": colours["background"],
        "scrollbar-corner-color": colours["background"],
    }


def _style_variables(variable: str, key: str, value: object) -> dict[str, str]:
    """A style such as `bold #ffffff on #c02b2b` as variables: its colours for the style sheet, the whole for Rich."""
    if not isinstance(value, str):
        raise ThemeError(f"{key} is not a text such as 'bold #c5cfdd'")
    front, back, styles = "", "transparent", []
    words = iter(value.split())
    for word in words:
        if word in STYLES:
            styles.append(word)
        elif word == "on":
            back = _colour(key, next(words, ""))
        elif front:
            raise ThemeError(f"{key} has two colours, {front} and {sanitize_cell(word)}; a background follows 'on'")
        else:
            front = _colour(key, word)
    front = front or "ansi_default"
    painted = [*styles, _for_rich(front), *(["on", _for_rich(back)] if back != "transparent" else [])]
    return {
        f"{variable}-color": front,
        f"{variable}-back": back,
        f"paint-{variable.removeprefix('tone-')}": " ".join(painted),
    }


def _for_rich(colour: str) -> str:
    name = colour.removeprefix("ansi_")
    return name if name != colour else Color.parse(colour).hex6.lower()


def _colour(key: str, value: object) -> str:
    try:
        if isinstance(value, str):
            Color.parse(value)
            return value
    except ColorParseError:
        pass
    accepted = "#rrggbb, a colour name or ansi_blue and the like"
    raise ThemeError(f"{key}: {sanitize_cell(str(value))!r} is no colour; accepted are {accepted}")


def _table(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = content.get(name)
    if not isinstance(value, dict):
        raise ThemeError(f"the table [{name}] is missing")
    return value


def _only(table: Mapping[str, object], known: Iterable[str], where: str) -> None:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            raise ThemeError(
                f"{where} has no {sanitize_cell(name)!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )


def apply_theme(app: App[Any], themes: Themes, name: str) -> None:
    """Register our themes in place of Textual's and apply one. Raises ValueError for an unknown name."""
    chosen = themes.pick(name)
    for theme in themes.by_name.values():
        app.register_theme(theme)
    app.theme = chosen.name
    for other in set(app.available_themes) - set(themes.by_name):
        app.unregister_theme(other)
