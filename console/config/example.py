"""The file that `nightdesk init` writes: every section explained, one task by hand, and it loads as it is."""

from __future__ import annotations

from importlib.resources import files


def example_text() -> str:
    """The commented nightdesk.toml."""
    return files("console.config").joinpath("example.toml").read_text(encoding="utf-8")
