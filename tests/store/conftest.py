"""A store of its own for every test, in a folder that only this test knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.building import Bench, open_bench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a state folder can be made."""
    return tmp_path / "state"


@pytest.fixture
async def bench(folder: Path) -> AsyncIterator[Bench]:
    """An open store and its clock."""
    opened = await open_bench(folder)
    yield opened
    await opened.store.close()
