"""Checks for system tools that some tests need: without them a test is skipped, but fails in CI."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def need(works: bool, what: str) -> None:
    """Skips the test where `works` is false, naming `what` is missing; fails it in CI."""
    if works:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"{what} is missing")


def need_strace() -> None:
    """Needs an `strace` that may trace child processes and inject faults."""
    need(shutil.which("strace") is not None and _succeeds("strace", "-qq", "-e", "trace=none", "true"), "strace")


def need_mounts() -> None:
    """Needs the right to mount in a mount namespace, as root has it."""
    made = "mount -t tmpfs -o size=1m none /mnt"
    need(shutil.which("unshare") is not None and _succeeds("unshare", "-m", "sh", "-c", made), "unshare -m and mount")


def need_clocks() -> None:
    """Needs faketime for the wall clock, and time and mount namespaces for the boot clock and the boot id."""
    apart = ("unshare", "--time", "--boottime", "3600", "--fork", "--mount", "true")
    need(shutil.which("faketime") is not None and _succeeds("faketime", "-f", "+0", "true"), "faketime")
    need(shutil.which("unshare") is not None and _succeeds(*apart), "unshare --time --mount")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
