"""The kill switch, the registered processes and the values by name."""

from __future__ import annotations

from console.store.controls import OwnerRow
from console.store.pause_file import PauseRow
from tests.store.harness import StoreHarness


async def test_the_first_pause_stays_named_until_it_is_lifted(harness: StoreHarness) -> None:
    controls = harness.store.controls
    assert await controls.paused() is None
    assert not await controls.resume(by="anna", now=harness.now)
    assert await controls.pause(by="anna\ud800", now=harness.now)
    since = harness.now.wall_ms
    harness.clock.advance(5)
    assert not await controls.pause(by="bert", now=harness.now)
    assert await controls.paused() == PauseRow(by="anna\ufffd", since_ms=since)
    assert await controls.resume(by="bert", now=harness.now)
    assert await controls.paused() is None
    assert [(record.fields["event"], record.fields["by"][:4]) for record in await harness.records()] == [
        ("pause", "anna"),
        ("resume", "bert"),
    ]


async def test_processes_come_beat_and_go(harness: StoreHarness) -> None:
    controls, began = harness.store.controls, harness.now.wall_ms
    await controls.announce("owner-1", kind="console", pid=11, now=harness.now)
    harness.clock.advance(1)
    await controls.announce("owner-2", kind="serve", pid=12, now=harness.now)
    await controls.beat("owner-1", harness.now)
    await controls.beat("stranger", harness.now)
    one, two = await controls.owners()
    assert one == OwnerRow(id="owner-1", kind="console", pid=11, started_ms=began, beat_ms=began + 1_000)
    assert two.id == "owner-2"
    await controls.withdraw("owner-1")
    await controls.withdraw("owner-1")
    assert await controls.owners() == (two,)


async def test_facts_by_name(harness: StoreHarness) -> None:
    controls = harness.store.controls
    assert await controls.meta_get("checked") is None
    await controls.meta_set("checked", "1")
    await controls.meta_set("checked", "2")
    assert await controls.meta_get("checked") == "2"


async def test_a_dead_owner_is_removed_only_once_no_open_run_names_it(harness: StoreHarness) -> None:
    controls = harness.store.controls
    run = await harness.running(owner="owner-1")
    await controls.announce("owner-1", kind="console", pid=11, now=harness.now)
    await controls.announce("owner-2", kind="serve", pid=12, now=harness.now)
    assert not await controls.remove_dead("owner-1")
    assert [owner.id for owner in await controls.owners()] == ["owner-1", "owner-2"]
    taken = await harness.store.runs.take_over(run, owner="owner-2", now=harness.now)
    assert taken is not None
    assert await controls.remove_dead("owner-1")
    assert await controls.remove_dead("owner-1"), "removing it twice is harmless"
    assert not await controls.remove_dead("owner-2")
    await harness.settle(taken)
    assert await controls.remove_dead("owner-2")
    assert await controls.owners() == ()


async def test_an_unregistered_owner_of_an_open_run_may_not_be_forgotten(harness: StoreHarness) -> None:
    await harness.running(owner="owner-1")
    assert not await harness.store.controls.remove_dead("owner-1")
