"""Fixture: the state folder of a race."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder."""
    return tmp_path / "state"
