"""Collect all errors of a config file: one line each, with file, line, key and what is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.config.field_types import UnknownWord, accepted_by, described, nearest, quoted, rule_of
from console.config.schema import Table
from console.config.toml_positions import KeyPath, line_of
from console.domain.text import sanitize

T = TypeVar("T", bound=Table)
MOST_QUOTED = 40
"""Longer texts may be prompts, and are not quoted."""
SYNONYMS = {
    "timeout": "max_seconds",
    "time_limit": "max_seconds",
    "limit": "budget_units",
    "budget": "budget_units",
    "cron": "schedule",
    "timezone": "time_zone",
    "tz": "time_zone",
    "retries": "max_attempts",
    "api_key": "api_key_file",
    "key": "api_key_env",
    "url": "base_url",
    "endpoint": "base_url",
}
"""What people call a key that has another name here."""


class ConfigError(Exception):
    """The configuration cannot be used. `str()` is one sanitized line per error."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(map(sanitize, errors))
        super().__init__("\n".join(self.errors))


class ErrorCollector:
    """Collects the errors of one file, and decodes tables while doing so."""

    def __init__(self, path: Path, lines: dict[KeyPath, int]) -> None:
        self._path = path
        self._lines = lines
        self._found: list[tuple[int, str]] = []

    def add(self, where: KeyPath, complaint: str, *, accepted: str = "", near: str | None = None) -> None:
        """Add an error at key path `where`; `near` is the known key or value that was probably meant."""
        line = line_of(self._lines, where)
        place = f"{self._path}:{line}" if line else str(self._path)
        text = f"{place}: {dotted(where)} {complaint}" if where else f"{place}: {complaint}"
        if accepted:
            text += f"; accepted: {accepted}"
        if near:
            text += f'; did you mean "{near}"?'
        self._found.append((line or 0, text))

    def unknown(self, where: KeyPath, known: Iterable[str]) -> None:
        """Add the error for an unknown key; `known` are the keys that exist."""
        names = sorted(known)
        meant = SYNONYMS.get(str(where[-1]).lower())
        near = meant if meant in names else nearest(str(where[-1]), names)
        self.add(where, "is not a known key", near=near, accepted="" if near else ", ".join(names))

    def __bool__(self) -> bool:
        return bool(self._found)

    def error(self) -> ConfigError:
        """Return all errors in the order of the file."""
        return ConfigError(text for _, text in sorted(self._found, key=lambda error: error[0]))


def dotted(where: KeyPath) -> str:
    """Format a key path: `tasks[1].name`. Entries are counted from 1, as people count them."""
    text = ""
    for part in where:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{sanitize(part, limit=80)}"
    return text.removeprefix(".")


def decode(table_type: type[T], raw: object, where: KeyPath, errors: ErrorCollector) -> T | None:
    """Decode `raw` as that table, key by key; None if an error was added."""
    if not isinstance(raw, Mapping):
        errors.add(where, f"is {described(raw)}", accepted="a table")
        return None
    fields = _fields(table_type)
    values: dict[str, Any] = {}
    sound = True
    for name in raw.keys() - fields.keys():
        errors.unknown((*where, name), fields)
        sound = False
    for name, field in fields.items():
        if name in raw:
            try:
                values[name] = _read(field.type, raw[name])
            except ValueError as error:
                near = error.near if isinstance(error, UnknownWord) else None
                errors.add((*where, name), str(error), accepted=accepted_by(field.type), near=near)
                sound = False
        elif field.required:
            errors.add((*where, name), "is missing", accepted=accepted_by(field.type))
            sound = False
    return table_type(**values) if sound else None


@cache
def _fields(table_type: type[Any]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """Return the fields by their names in the file. Cached, since msgspec evaluates all annotations on each call."""
    return {field.encode_name: field for field in msgspec.structs.fields(table_type)}


def _read(annotation: Any, value: object) -> Any:
    """Convert a value of the file to that type. Raises ValueError with a complaint to follow the name of the key."""
    if (rule := rule_of(annotation)) is not None:
        return rule.read(value)
    try:
        return msgspec.convert(value, annotation)
    except msgspec.ValidationError:
        # The messages of msgspec are about Python types.
        if not isinstance(value, str):
            shown = described(value)
        elif len(value) > MOST_QUOTED:
            shown = f"a text of {len(value)} characters"
        else:
            shown = quoted(value)
        raise ValueError(f"is {shown}") from None
