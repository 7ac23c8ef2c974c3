"""A disk that really runs full: the write that did not fit is undone, and with free space the store goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

WORK = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from console.store.errors import StoreError, StoreFull
from console.store.claims import ClaimRepository
from tests.store.harness import a_task, open_harness
from tests.store.racing import FREE

async def main(place):
    filler = place / "filler"
    bench = await open_harness(place / "state")
    bench.caps = FREE
    try:
        bench.store.claims = ClaimRepository(bench.store.database, room=lambda: 2**40)
        kept = [await bench.running(a_task("before"))]
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        for number in range(200):
            try:
                kept.append(await bench.claimed(a_task(f"t{number}")))
            except StoreFull:
                break
        else:
            raise AssertionError("the disk was never full")
        assert not bench.store.database.in_transaction
        assert {run.id for run in await bench.store.runs.open_runs()} == {run.id for run in kept}
        honest = ClaimRepository(bench.store.database)
        try:
            await honest.claim(*bench.launch_of(a_task("more")), bench.now)
        except StoreFull as error:
            assert "are free" in str(error)
        filler.unlink()
        assert (await bench.settle(kept[0])).used == 1_000
        await bench.claimed(a_task("after"))
        sql = "pragma integrity_check"
        assert [tuple(row) for row in await bench.store.database.read(lambda tx: tx.rows(sql))] == [("ok",)]
    finally:
        await bench.store.close()
    print("done")

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, to mount a small disk")
def test_a_full_disk_costs_only_the_write_that_did_not_fit(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        mount -t tmpfs -o size=1m,mode=700 tmpfs "$1" || exit 77
        exec "$2" -c "$3" "$1"
    """)
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, WORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
