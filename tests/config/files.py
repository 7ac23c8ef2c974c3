"""A config file that loads, for tests that spoil one thing in it."""

from __future__ import annotations

from pathlib import Path

CAPS = """\
[caps]
daily_units = 2000
monthly_units = "unlimited"
daily_runs = 100
concurrent_runs = 8
"""
TASK = """\
[[tasks]]
name = "report"
prompt = "Write it."
"""


def written(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    """`text` as a config file of ours."""
    path = folder / "nightdesk.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path
