"""Garbage collection is deferred and arranged by the program alone."""

from __future__ import annotations

import asyncio
import gc
import resource
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import closing

import pytest

from console.__main__ import MOST_FILES
from console.start_up import COLLECT_ALL_S, DEFERRED, STEADY, begin_collection, collect_all, defer_collection


@pytest.fixture(autouse=True)
def thresholds_stay() -> object:
    before = gc.get_threshold()
    yield None
    gc.set_threshold(*before)


@pytest.fixture
def frozen() -> object:
    yield None
    gc.unfreeze()


class Loop(asyncio.SelectorEventLoop):
    """A loop that keeps what is to be called later."""

    def __init__(self) -> None:
        super().__init__()
        self.later: list[float] = []

    def call_later(self, delay: float, callback: object, *args: object, context: object = None) -> asyncio.TimerHandle:
        self.later.append(delay)
        return super().call_later(delay, lambda: None)


@pytest.fixture
def loop() -> Iterator[Loop]:
    with closing(Loop()) as loop:
        yield loop


@pytest.mark.usefixtures("frozen")
def test_what_was_loaded_is_never_looked_through_and_full_collections_come_by_time_alone(loop: Loop) -> None:
    gc.set_threshold(123, 4, 5)
    defer_collection()
    defer_collection()
    assert gc.get_threshold()[0] == DEFERRED
    begin_collection(loop)
    assert gc.get_threshold() == STEADY
    assert gc.get_freeze_count() > 10_000
    assert loop.later == [COLLECT_ALL_S]


def test_a_full_collection_finds_garbage_of_any_age_and_is_followed_by_another(loop: Loop) -> None:
    class Knot:
        """An object that refers to itself."""

    knot = Knot()
    knot.itself = knot  # type: ignore[attr-defined]  # a cycle
    gone = weakref.ref(knot)
    gc.collect()
    del knot
    assert gone() is not None
    collect_all(loop)
    assert gone() is None
    assert loop.later == [COLLECT_ALL_S]


def test_what_was_not_deferred_is_left_alone(loop: Loop) -> None:
    gc.set_threshold(123, 4, 5)
    begin_collection(loop)
    assert gc.get_threshold() == (123, 4, 5)
    assert not loop.later


def test_importing_the_package_changes_nothing() -> None:
    script = "import gc; before = gc.get_threshold(); import console.app; print(before == gc.get_threshold())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"


def test_the_program_begins_without_an_event_loop() -> None:
    """A command of a script may run every few seconds, and asyncio takes as long to load as all that it needs."""
    code = "import sys, console.__main__, console.cli.main; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_process_uses_as_many_descriptors_as_it_may() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    show = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    script = f"from console.__main__ import _allow_many_files; _allow_many_files(); {show}"
    done = subprocess.run(
        [sys.executable, "-c", f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard})); {script}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"{MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)}\n"
