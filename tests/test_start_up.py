"""The garbage collector is deferred by the program alone, and runs as before afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from console.start_up import DEFERRED, defer_collection, resume_collection


@pytest.fixture(autouse=True)
def thresholds_stay() -> object:
    before = gc.get_threshold()
    yield None
    gc.set_threshold(*before)


def test_thresholds_come_back_as_they_were() -> None:
    gc.set_threshold(123, 4, 5)
    defer_collection()
    defer_collection()
    assert gc.get_threshold() == (DEFERRED, 4, 5)
    resume_collection()
    assert gc.get_threshold() == (123, 4, 5)


def test_what_was_not_deferred_is_left_alone() -> None:
    gc.set_threshold(123, 4, 5)
    resume_collection()
    assert gc.get_threshold() == (123, 4, 5)


def test_importing_the_package_changes_nothing() -> None:
    script = "import gc; before = gc.get_threshold(); import console.app; print(before == gc.get_threshold())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"
