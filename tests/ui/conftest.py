"""Engines for the screen."""

from __future__ import annotations

import pytest

from tests.ui import samples
from tests.ui.double import DoubleEngine


@pytest.fixture
def idle() -> DoubleEngine:
    """Nothing runs."""
    return DoubleEngine()


@pytest.fixture
def busy() -> DoubleEngine:
    """One run of each state, some that ended."""
    live = list(samples.busy())
    return DoubleEngine(live=live, recent=list(samples.ended()), guarded=frozenset(run.id for run in live))
