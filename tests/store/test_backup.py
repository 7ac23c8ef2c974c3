"""A backup is one moment of a database in use; what is put back is whole, or refuses to be used until it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.engine.clock import SystemClock
from console.store import backup as module
from console.store.backup import copy_out, put_back, read_backup
from console.store.errors import StoreBusy, StoreCopied, StoreDamaged, StoreError, StoreMissing
from console.store.files import DATABASE, STATE_ID
from console.store.store import Store

pytestmark = pytest.mark.sqlite

NOW = SystemClock().now()


async def noted(folder: Path, count: int) -> None:
    """Write `count` events into the store of `folder`."""
    store = await Store.open(folder, now=NOW)
    try:
        for number in range(count):
            await store.runs.note(event="clock", fields={"step_s": str(number)}, run=None, now=NOW)
    finally:
        await store.close()


async def events(folder: Path) -> int:
    store = await Store.open(folder, now=NOW)
    try:
        return len(await store.log_records.after(0))
    finally:
        await store.close()


async def test_a_copy_holds_what_was_there_and_is_private(tmp_path: Path) -> None:
    folder, target = tmp_path / "state", tmp_path / "copies" / "one"
    await noted(folder, 3)
    facts = copy_out(folder, target)
    assert (facts.last_ev, facts.runs, facts.open_runs) == (3, 0, 0)
    assert read_backup(target) == facts
    assert sorted(path.name for path in target.iterdir()) == [DATABASE, STATE_ID]
    assert target.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
    assert await events(folder) == 3


async def test_a_copy_is_made_while_others_write(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    await noted(folder, 50)
    writing = asyncio.create_task(noted(folder, 200))
    facts = await asyncio.to_thread(copy_out, folder, tmp_path / "copy")
    await writing
    assert 50 <= facts.last_ev <= 250
    assert await events(folder) == 250
    put_back(tmp_path / "copy", tmp_path / "other", aside=tmp_path / "aside")
    assert await events(tmp_path / "other") == facts.last_ev


async def test_a_copy_goes_into_a_new_folder_only(tmp_path: Path) -> None:
    await noted(tmp_path / "state", 1)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(FileExistsError):
        copy_out(tmp_path / "state", tmp_path / "used")
    (tmp_path / "used").chmod(0o700)
    with pytest.raises(StoreMissing):
        copy_out(tmp_path / "used", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_copy_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    await noted(tmp_path / "state", 2000)
    with pytest.raises(StoreBusy):
        copy_out(tmp_path / "state", tmp_path / "copy", longest_s=-1)


async def test_what_is_put_back_launches_nothing_and_what_was_there_is_kept(tmp_path: Path) -> None:
    folder, aside = tmp_path / "state", tmp_path / "state" / "before"
    await noted(folder, 3)
    copy_out(folder, tmp_path / "copy")
    await noted(folder, 2)
    put_back(tmp_path / "copy", folder, aside=aside)
    assert await events(folder) == 3
    assert (aside / DATABASE).exists()
    store = await Store.open(folder, now=NOW)
    try:
        with pytest.raises(StoreCopied, match=r"is a copy of .*copy: nothing is launched"):
            await store.identity.require_original()
        await store.identity.accept_copy(by="me", now=NOW)
        await store.identity.require_original()
    finally:
        await store.close()


async def test_what_is_put_back_into_an_empty_folder_launches_nothing_either(tmp_path: Path) -> None:
    await noted(tmp_path / "state", 1)
    copy_out(tmp_path / "state", tmp_path / "copy")
    put_back(tmp_path / "copy", tmp_path / "new", aside=tmp_path / "aside")
    assert not (tmp_path / "aside").exists()
    store = await Store.open(tmp_path / "new", now=NOW)
    try:
        with pytest.raises(StoreCopied):
            await store.identity.require_original()
    finally:
        await store.close()


@pytest.mark.parametrize("harm", ["missing", "empty", "foreign", "cut", "flipped"])
async def test_a_backup_that_is_not_whole_changes_nothing(tmp_path: Path, harm: str) -> None:
    folder, copy = tmp_path / "state", tmp_path / "copy"
    await noted(folder, 300)
    copy_out(folder, copy)
    database = copy / DATABASE
    content = database.read_bytes()
    match harm:
        case "missing":
            database.unlink()
        case "empty":
            database.write_bytes(b"")
        case "foreign":
            database.write_bytes(b"not a database" * 1000)
        case "cut":
            database.write_bytes(content[: len(content) // 2])
        case "flipped":
            database.write_bytes(content[:4096] + bytes(4096) * 4 + content[4096 * 5 :])
    with pytest.raises(StoreError):
        put_back(copy, folder, aside=tmp_path / "aside")
    assert await events(folder) == 300
    assert not (tmp_path / "aside").exists()


async def test_a_damaged_store_makes_no_backup(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    await noted(folder, 300)
    database = folder / DATABASE
    content = database.read_bytes()
    database.write_bytes(content[:4096] + bytes(4096) * 4 + content[4096 * 5 :])
    with pytest.raises(StoreDamaged):
        copy_out(folder, tmp_path / "copy")


@pytest.mark.parametrize("at", ["_sync", "_move_aside", "_mark_as_copy", "replace_file"])
async def test_an_interrupted_restore_is_whole_after_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    folder, copy = tmp_path / "state", tmp_path / "copy"
    await noted(tmp_path / "other", 3)
    copy_out(tmp_path / "other", copy)
    await noted(folder, 5)

    def crash(*_: object) -> None:
        raise OSError("the machine stops here")

    with monkeypatch.context() as crashing:
        crashing.setattr(module, at, crash)
        with pytest.raises(OSError, match="stops here"):
            put_back(copy, folder, aside=tmp_path / "aside")
    # What it held, or nothing that may be used.
    try:
        assert await events(folder) == 5
    except StoreMissing:
        assert at == "replace_file"
    put_back(copy, folder, aside=tmp_path / "aside-2")
    assert await events(folder) == 3
