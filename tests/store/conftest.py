"""Fixtures: a store of its own for every test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.store.store import Store
from tests.clock import ManualClock
from tests.store.harness import StoreHarness, open_harness


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new state folder, created once because creating one waits for the disk many times."""
    folder = tmp_path_factory.mktemp("fresh") / "state"

    async def make() -> None:
        store = await Store.open(folder, now=ManualClock().now())
        await store.close()

    asyncio.run(make())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The path of a state folder that does not exist yet."""
    return tmp_path / "state"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs every test that has a `harness` over both databases, unless it is marked as one of SQLite alone."""
    if "harness" in metafunc.fixturenames and metafunc.definition.get_closest_marker("sqlite") is None:
        both = ["sqlite", pytest.param("postgres", marks=pytest.mark.proofs)]
        metafunc.parametrize("harness", both, indirect=True)


@pytest.fixture
async def harness(request: pytest.FixtureRequest, fresh: Path, folder: Path) -> AsyncIterator[StoreHarness]:
    """An open store with a manual clock, on SQLite or, if the test is run so, on PostgreSQL."""
    if getattr(request, "param", "sqlite") == "postgres":
        opened = await open_harness(folder, fleet=request.getfixturevalue("fleet"))
    else:
        shutil.copytree(fresh, folder)
        opened = await open_harness(folder)
    yield opened
    await opened.store.close()
