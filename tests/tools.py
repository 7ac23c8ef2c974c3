"""Tools of the machine that some proofs need. In CI they must be there: nothing is left unproven in silence."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def need(works: bool, what: str) -> None:
    """Skips the test, naming `what` is missing; fails it in CI, where nothing may be left unproven silently."""
    if works:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"not proven here: {what} is missing")


def need_strace() -> None:
    """`strace` that may trace our own children and inject faults."""
    need(shutil.which("strace") is not None and _succeeds("strace", "-qq", "-e", "trace=none", "true"), "strace")


def need_mounts() -> None:
    """Mounts of our own, as root has them in a mount namespace."""
    made = "mount -t tmpfs -o size=1m none /mnt"
    need(shutil.which("unshare") is not None and _succeeds("unshare", "-m", "sh", "-c", made), "unshare -m and mount")


def need_clocks() -> None:
    """A wall clock of our own, and a boot clock and an id of the boot as root has them in namespaces."""
    apart = ("unshare", "--time", "--boottime", "3600", "--fork", "--mount", "true")
    need(shutil.which("faketime") is not None and _succeeds("faketime", "-f", "+0", "true"), "faketime")
    need(shutil.which("unshare") is not None and _succeeds(*apart), "unshare --time --mount")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
