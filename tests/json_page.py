"""The tables of docs/json.md, made from the declared formats.

`python -m tests.json_page` writes them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from console.cli import json_format
from console.cli.json_format import FORMATS, VERSION, json_schema
from tests.tree import ROOT

PAGE = ROOT / "docs" / "json.md"
BEGIN, END = "<!-- formats -->\n", "<!-- /formats -->"


def tables() -> str:
    """The table of commands, then one table for each object."""
    lines = [f"Format version: {VERSION}", "", "| command | prints | of |", "|---|---|---|"]
    parts: dict[str, dict[str, Any]] = {}
    for name, found in FORMATS.items():
        parts |= json_schema(name)["$defs"]
        for each in found.types:
            base = each.__base__
            if base is not None and issubclass(base, msgspec.Struct) and msgspec.structs.fields(base):
                parts.setdefault(base.__name__, json_schema_of(base))
        objects = " or ".join(_link(each.__name__) for each in found.types)
        what = f"`nightdesk {name}`" if name != "errors" else "any, on stderr where it fails"
        lines.append(f"| {what} | {found.shape.value} | {objects} |")
    for name in sorted(parts):
        if "properties" in parts[name]:
            lines += _object(name, parts[name])
    return "\n".join([*lines, ""])


def written() -> str:
    """What stands between the marks of the page."""
    return PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


def json_schema_of(part: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of one object."""
    _, parts = msgspec.json.schema_components([part])
    found: dict[str, Any] = parts[part.__name__]
    return found


def _title(name: str) -> str:
    return name.removesuffix("Fields")


def _link(name: str) -> str:
    return f"[{_title(name)}](#{_title(name).lower()})"


def _object(name: str, part: dict[str, Any]) -> list[str]:
    required = set(part.get("required", ()))
    lines = ["", f"### {_title(name)}", "", part.get("description", "")]
    base: type[msgspec.Struct] = getattr(json_format, name).__base__
    shared: set[str] = set()
    if msgspec.structs.fields(base):
        shared = set(json_schema_of(base)["properties"])
        lines[-1] += f" It has the fields of {_link(base.__name__)}, and:"
    lines += ["", "| field | type | meaning |", "|---|---|---|"]
    for field, schema in part["properties"].items():
        if field in shared:
            continue
        text, meaning = _type(schema), _meaning(schema)
        absent = "" if field in required else ", may be absent"
        lines.append(f"| `{field}` | {text}{absent} | {meaning} |")
    return lines


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _link(name) if name.endswith("Fields") else " ".join(f"`{each}`" for each in _values(name))
    if "enum" in schema:
        return " ".join("null" if each is None else f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _values(name: str) -> list[str]:
    for found in FORMATS:
        part = json_schema(found)["$defs"].get(name)
        if part is not None:
            return [str(each) for each in part["enum"]]
    raise KeyError(name)


def _meaning(schema: dict[str, Any]) -> str:
    if "description" in schema:
        return str(schema["description"])
    inner = [str(each["description"]) for each in schema.get("anyOf", ()) if "description" in each]
    return inner[0] if inner else ""


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.replace(BEGIN + written() + END, BEGIN + tables() + END), encoding="utf-8")
