"""What must be decided before Textual is imported is decided before it is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

IMPORTS = """
import sys
import console.ui.run_console, console.ui.terminal.capabilities, console.ui.format, console.ui.context
print("textual" in sys.modules)
import os
from console.ui.terminal.capabilities import prepare_environment
prepare_environment(os.environ)
import console.ui.app
from textual import constants
print(constants.MAX_FPS, constants.TEXTUAL_ANIMATIONS)
"""


def test_animations_and_frames_are_set_before_textual_reads_them() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "SSH_CONNECTION": "a b c d"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.split() == ["False", "15", "none"]
