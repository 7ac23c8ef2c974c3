"""A database that is older than the files beside it launches nothing, of any origin, until a person reconciles it."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.doctor.reconcile import reconcile
from console.domain.launch import LaunchKind
from console.domain.run import RunId
from console.engine.errors import StoreOlder
from console.journal.launch_journal import LaunchJournal
from tests.clock import ManualClock
from tests.engine.building import BY, engine_harness
from tests.engine.fake_provider import FakeProvider


def _know_more(folder: Path) -> None:
    """The journal knows a launch that the database has forgotten."""
    journal = LaunchJournal(folder / "launch.journal")
    journal.append(RunId("01" + "a" * 24), 1, "v1_forgotten")
    journal.close()


async def test_a_restored_database_launches_nothing_until_it_is_reconciled(tmp_path: Path) -> None:
    provider, clock = FakeProvider(), ManualClock()
    async with engine_harness(tmp_path, provider, clock=clock) as here:
        _know_more(here.folder)
        for _ in range(2):
            with pytest.raises(StoreOlder, match="1 launched runs"):
                await here.launch()
        assert provider.orders == []
        assert await here.store.runs.open_runs() == ()
        told = await reconcile(here.folder, by=BY, now=clock.now())
        assert any("lost: run" in line for line in told)
        assert (await here.launch()).kind is LaunchKind.LAUNCHED
        assert await reconcile(here.folder, by=BY, now=clock.now()) == ()


async def test_a_log_that_goes_on_beyond_the_database_refuses_a_launch(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, clock=ManualClock()) as here:
        await here.engine.operations.pause(by=BY)
        await here.engine.operations.resume(by=BY)
        log = here.folder / "runs.log"
        lines = log.read_bytes().splitlines(keepends=True)
        records = here.log()
    async with engine_harness(tmp_path / "other", provider, clock=ManualClock()) as other:
        (other.folder / "runs.log").write_bytes(b"".join(lines))
        with pytest.raises(StoreOlder, match=f"goes up to event {records[-1].ev}, the database only to 0"):
            await other.launch()
