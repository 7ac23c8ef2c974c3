"""The file that `nightdesk init` writes: it explains every section, has one task, and is valid as it is.

Kept apart because `init` needs neither the parser nor the schema.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

_STATE_DIR_LINE = '# state_dir = "state"'


def example_text(state_dir: Path | None = None) -> str:
    """Return the commented nightdesk.toml; with `state_dir`, that folder is written into it as a real key."""
    text = files("console.config").joinpath("example.toml").read_text(encoding="utf-8")
    if state_dir is None:
        return text
    # A JSON string is a TOML string as long as it contains no lone surrogates, which no text file can hold either.
    return text.replace(_STATE_DIR_LINE, f"state_dir = {json.dumps(str(state_dir), ensure_ascii=False)}", 1)
