"""Compares what a command printed with `--json` with the declared format. Every test that reads JSON passes here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from console.cli.json_format import FORMATS, Shape

VARIANTS = {"--follow": "--follow", "-f": "--follow", "--reconcile": "--reconcile", "--print": "--print"}
"""Options with which a command has another format."""


def format_name(arguments: Sequence[str]) -> str | None:
    """The name of the format of a command line; None where it prints no JSON, or is not declared."""
    if "--json" not in arguments:
        return None
    words = [word for word in arguments if not word.startswith("-")]
    found = next((name for name in (" ".join(words[:2]), " ".join(words[:1])) if name in FORMATS), None)
    variants = [f"{found} {VARIANTS[word]}" for word in arguments if word in VARIANTS]
    return next((name for name in variants if name in FORMATS), found)


def check(name: str, text: str) -> Any:
    """Fail unless `text` is the output that is declared for the command, field by field; return it parsed."""
    found = FORMATS[name]
    values: list[Any]
    if found.shape is Shape.LINES:
        parsed: Any = [json.loads(line) for line in text.splitlines()]
    else:
        parsed = json.loads(text)
    values = [parsed] if found.shape is Shape.OBJECT else parsed
    for value in values:
        errors = [error for each in found.types if (error := mismatch(value, each))]
        assert len(errors) < len(found.types), f"{name}: {errors}"
    return parsed


def mismatch(value: object, declared: type[msgspec.Struct]) -> str:
    """Why the value is not of the declared type; empty where it is."""
    try:
        msgspec.convert(value, declared, strict=True)
    except msgspec.ValidationError as error:
        return str(error)
    return ""
