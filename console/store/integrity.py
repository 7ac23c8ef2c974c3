"""Is the whole database still what it was? Asked at long intervals and in another process: reading it all takes time.

Plain reads check only what they touch. Nothing is ever repaired here: a damaged store launches nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path

from console.domain.text import safe
from console.store import integrity_probe
from console.store.connecting import location
from console.store.errors import StoreError
from console.store.files import DATABASE

LONGEST_S = 300.0
"""A check that takes longer says nothing."""


async def check_integrity(folder: Path, *, longest_s: float = LONGEST_S) -> tuple[str, ...]:
    """What is wrong with the database of `folder`, one cleaned line each; empty: nothing was found.

    Reads in a process of its own, so that no file descriptor of ours on the database is ever closed. Raises
    StoreError where the check itself does not work or takes longer than `longest_s` seconds.
    """
    if not (folder / DATABASE).exists():
        return (f"{folder / DATABASE} is missing",)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", integrity_probe.__file__, location(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), longest_s)
        lines = json.loads(output)
    except TimeoutError:
        raise StoreError(f"the integrity check of {folder} did not end within {longest_s:g} s") from None
    except ValueError:
        raise StoreError(f"the integrity check of {folder} did not work (exit {process.returncode})") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return tuple(safe(str(line), limit=400) for line in lines)
