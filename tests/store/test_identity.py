"""A copied state folder and a backup that was put back are recognised, and launch nothing until a person decides."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.launch import LaunchKind
from console.domain.run import Outcome, RunId
from console.store.errors import StoreCopied, StoreDamaged
from console.store.identity import PLACE, DatabasePlace, LostHistory, find_lost_history
from console.store.store import Store
from tests.store.harness import BY, OWNER, StoreHarness, a_task

pytestmark = pytest.mark.sqlite

HERE = DatabasePlace(inode=7, device=1, folder="/state", machine="m")


@asynccontextmanager
async def opened(folder: Path, like: StoreHarness) -> AsyncIterator[StoreHarness]:
    """Open another state folder with the same clock."""
    store = await Store.open(folder, now=like.now)
    try:
        yield StoreHarness(store, like.clock)
    finally:
        await store.close()


async def test_a_copied_folder_launches_nothing_until_a_person_accepts_it(
    harness: StoreHarness, folder: Path, tmp_path: Path
) -> None:
    run = await harness.running()
    proposal = await harness.proposed(a_task("other"))
    shutil.copytree(folder, tmp_path / "copy")
    async with opened(tmp_path / "copy", harness) as copy:
        assert await copy.run(run) == run, "it can be read"
        for call in (
            copy.claim(a_task("new")),
            copy.store.claims.preview(*copy.launch_of(a_task("new")), copy.now),
            copy.store.identity.require_original(),
            copy.store.claims.approve(
                proposal.id, by=BY, owner=OWNER, task=a_task("other"), caps=copy.caps, expires_ms=0, now=copy.now
            ),
        ):
            with pytest.raises(StoreCopied, match=f"copy of {folder}"):
                await call
        assert await copy.records() == await harness.records(), "nothing was written"
        stopped = await copy.settle(run)
        assert stopped.outcome is Outcome.OK, "what runs can be ended"
        await copy.store.identity.accept_copy(by="anna", now=copy.now)
        assert (await copy.claim(a_task("new"))).kind is LaunchKind.LAUNCHED
        note = next(r for r in await copy.records() if r.fields.get("event") == "copy_accepted")
        assert (note.fields["by"], note.fields["was"]) == ("anna", str(folder))
    await harness.claimed(a_task("new"))


async def test_a_copy_of_a_store_that_never_launched_is_as_good_as_new(
    harness: StoreHarness, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    async with opened(tmp_path / "copy", harness) as copy:
        await copy.claimed()
        await copy.store.identity.require_original()


async def test_a_renamed_folder_is_the_same(harness: StoreHarness, folder: Path, tmp_path: Path) -> None:
    await harness.claimed()
    await harness.store.close()
    shutil.move(folder, tmp_path / "renamed")
    async with opened(tmp_path / "renamed", harness) as renamed:
        await renamed.claimed(a_task("other"))


async def test_a_store_from_before_records_its_place_at_its_next_launch(harness: StoreHarness) -> None:
    await harness.claimed()
    await harness.store.database.transaction(lambda tx: tx.rows("delete from meta where name = :name", {"name": PLACE}))
    await harness.store.identity.require_original()
    await harness.claimed(a_task("other"))
    assert await harness.store.controls.meta_get(PLACE) is not None


async def test_a_recorded_place_that_cannot_be_read_is_damage(harness: StoreHarness) -> None:
    for value in ("{", "[]", '{"inode": 1}'):
        await harness.store.controls.meta_set(PLACE, value)
        with pytest.raises(StoreDamaged):
            await harness.store.identity.require_original()


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (HERE, True),
        (replace(HERE, inode=8), False),
        (replace(HERE, device=2), True),
        (replace(HERE, device=2, folder="/elsewhere"), False),
        (replace(HERE, folder="/elsewhere"), True),
        (replace(HERE, device=2, machine="other"), False),
        (replace(HERE, device=2, machine=""), True),
        (replace(HERE, machine="other"), True),
    ],
)
def test_when_two_places_are_the_same_file(now: DatabasePlace, same: bool) -> None:
    """A restart of the system may renumber devices, so the device alone does not decide."""
    assert now.is_same_file(HERE) is same


RUNS = (RunId("a"), RunId("b"))


@pytest.mark.parametrize(
    ("facts", "lost"),
    [
        ({"last_ev": 5, "known_ev": 5, "missing": ()}, None),
        ({"last_ev": 6, "known_ev": 5, "missing": ()}, None),
        ({"last_ev": 4, "known_ev": 5, "missing": ()}, LostHistory(last_ev=4, known_ev=5, run_ids=())),
        ({"last_ev": 5, "known_ev": 5, "missing": RUNS}, LostHistory(last_ev=5, known_ev=5, run_ids=RUNS)),
        ({"last_ev": 4, "known_ev": 5, "missing": RUNS, "accepted_ev": 5, "accepted": RUNS}, None),
        (
            {"last_ev": 4, "known_ev": 6, "missing": RUNS, "accepted_ev": 5, "accepted": ("a",)},
            LostHistory(last_ev=4, known_ev=6, run_ids=(RunId("b"),)),
        ),
    ],
)
def test_what_a_restored_database_has_lost(facts: dict[str, object], lost: LostHistory | None) -> None:
    assert find_lost_history(**facts) == lost  # type: ignore[arg-type]  # the facts of the table above


async def test_a_backup_that_was_put_back_is_older_than_the_files_beside_it(
    harness: StoreHarness, folder: Path, tmp_path: Path
) -> None:
    known = await harness.running()
    with (
        closing(sqlite3.connect(folder / "nightdesk.db")) as live,
        closing(sqlite3.connect(tmp_path / "backup.db")) as to,
    ):
        live.backup(to)
    forgotten = await harness.running(a_task("other"))
    newest = (await harness.records())[-1].ev
    ids = [known.id, forgotten.id]
    assert await harness.store.identity.lost_history(known_ev=newest, run_ids=ids) is None
    await harness.store.close()
    shutil.copyfile(tmp_path / "backup.db", folder / "nightdesk.db")
    async with opened(folder, harness) as restored:
        identity = restored.store.identity
        lost = await identity.lost_history(known_ev=newest, run_ids=ids)
        assert lost is not None
        assert lost.run_ids == (forgotten.id,)
        assert f"up to event {newest}, the database only to {newest - 1}; 1 runs of runs.log" in lost.sentence
        await identity.accept_lost_history(lost, by="anna", now=restored.now)
        assert await identity.lost_history(known_ev=newest, run_ids=ids) is None
        assert await identity.lost_history(known_ev=newest + 2, run_ids=ids) is not None
        note = (await restored.records())[-1]
        assert (note.fields["event"], note.fields["runs"]) == ("loss_accepted", forgotten.id)
