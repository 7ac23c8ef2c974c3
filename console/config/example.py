"""The file that `nightdesk init` writes: it explains every section, has one task, and is valid as it is.

Kept apart because `init` needs neither the parser nor the schema.
"""

from __future__ import annotations

from importlib.resources import files


def example_text() -> str:
    """Return the commented nightdesk.toml."""
    return files("console.config").joinpath("example.toml").read_text(encoding="utf-8")
