"""Engines for the screen."""

from __future__ import annotations

import pytest

from tests.ui import samples
from tests.ui.fake_engine import FakeEngine


@pytest.fixture
def idle() -> FakeEngine:
    """Nothing runs."""
    return FakeEngine()


@pytest.fixture
def busy() -> FakeEngine:
    """One run of each state, some that ended."""
    live = list(samples.busy())
    return FakeEngine(live=live, recent=list(samples.ended()), guarded=frozenset(run.id for run in live))
