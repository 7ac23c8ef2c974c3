"""A database that is older than the log or the journal launches nothing until it is reconciled."""

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


def _append_unknown_launch(folder: Path) -> None:
    """Add a launch to the journal that the database does not have."""
    journal = LaunchJournal(folder / "launch.journal")
    journal.append(RunId("01" + "a" * 24), 1, "v1_forgotten")
    journal.close()


async def test_a_restored_database_launches_nothing_until_it_is_reconciled(tmp_path: Path) -> None:
    provider, clock = FakeProvider(), ManualClock()
    async with engine_harness(tmp_path, provider, clock=clock) as here:
        _append_unknown_launch(here.folder)
        for _ in range(2):
            with pytest.raises(StoreOlder, match="1 launched runs"):
                await here.launch()
        assert provider.orders == []
        assert await here.store.runs.open_runs() == ()
        lines = await reconcile(here.folder, by=BY, now=clock.now())
        assert any("lost: run" in line for line in lines)
        assert (await here.launch()).kind is LaunchKind.LAUNCHED
        assert await reconcile(here.folder, by=BY, now=clock.now()) == ()


async def test_a_launch_is_refused_when_the_log_has_later_events_than_the_database(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, clock=ManualClock()) as here:
        await here.engine.operations.pause(by=BY)
        await here.engine.operations.resume(by=BY)
        log = here.folder / "runs.log"
        content = log.read_bytes()
        records = here.log()
    async with engine_harness(tmp_path / "other", provider, clock=ManualClock()) as other:
        (other.folder / "runs.log").write_bytes(content)
        with pytest.raises(StoreOlder, match=f"goes up to event {records[-1].ev}, the database only to 0"):
            await other.launch()
