"""Runs code on the store as an unprivileged user, because permissions do not restrict root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

import console

NOBODY = 65534
_BEFORE = """
import asyncio, json, os, sys, tempfile
from pathlib import Path
from console.store.errors import StoreError
from console.store.store import Store
from tests.clock import ManualClock
uid, place = int(sys.argv[1]), Path(sys.argv[2])
async def warm_up():
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(Path(folder), now=ManualClock().now())
        await store.close()
asyncio.run(warm_up())
"""
_DROP = """
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
assert os.geteuid() != 0
"""
_AFTER = """
print(json.dumps(asyncio.run(work(place / "state", ManualClock().now()))))
"""


def as_nobody(work: str, *, first: str = "") -> object:
    """Run the code of `async def work(folder, now)` as an unprivileged user and return its result.

    Without root privileges it runs as the present user. `folder` does not exist yet, and the code may create it.
    `first` is code that runs before the privileges are dropped and imports what the work needs, because that user may
    be unable to read the interpreter. The test is skipped if that user cannot read the checkout.
    """
    if os.geteuid() == 0 and not _others_may_read(Path(console.__file__)):
        pytest.skip("an unprivileged user cannot read this checkout")
    # Not in the temporary folder of pytest: only its owner may pass through that one.
    with tempfile.TemporaryDirectory(prefix="unprivileged-") as place:
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        script = _BEFORE + textwrap.dedent(first) + _DROP + textwrap.dedent(work) + _AFTER
        done = subprocess.run(
            [sys.executable, "-c", script, str(NOBODY), place],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _others_may_read(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o004) and all(parent.stat().st_mode & 0o001 for parent in path.parents)
