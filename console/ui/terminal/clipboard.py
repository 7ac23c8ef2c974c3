"""Copying to the clipboard of the operator's terminal, and inside tmux to the buffers of tmux as well.

A terminal copies by itself, on a control sequence (OSC 52), and never says whether it did. tmux drops the sequence in
its usual setting, so its own command is used there.

Kept apart because it starts a process, which nothing else of the screen does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

TMUX_S = 2.0
"""Seconds that tmux may take."""
NEEDS = "tmux did not take it: it needs tmux 3.2 and `set -g set-clipboard on`"


def in_tmux(environ: Mapping[str, str]) -> bool:
    """True inside tmux."""
    return bool(environ.get("TMUX"))


async def load_tmux_buffer(text: str) -> bool:
    """Put `text` into a new buffer of tmux and, where tmux may, into the clipboard of its terminal.

    False where tmux did not take it.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            *("load-buffer", "-w", "-"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(TMUX_S):
            await process.communicate(text.encode("utf-8", "replace"))
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        return False
    return process.returncode == 0
