"""Fake engines for the tests of the console."""

from __future__ import annotations

import pytest

from tests.ui import samples
from tests.ui.fake_engine import FakeEngine


@pytest.fixture
def idle() -> FakeEngine:
    """An engine without runs."""
    return FakeEngine()


@pytest.fixture
def busy() -> FakeEngine:
    """An engine with a run in each state, and some that ended."""
    live = list(samples.busy())
    return FakeEngine(live=live, recent=list(samples.ended()), guarded=frozenset(run.id for run in live))
