"""The kill switch among processes that launch as fast as they can: none of them sends once it is stored."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from tests.races.launchers import Told, launch_until_paused, pause_amid
from tests.waiting import until_sync

PROCESSES = 3
OBEYED_MS = 2_000


def test_every_process_obeys_a_pause_within_two_seconds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, out, paused = context.Barrier(PROCESSES + 1), context.Queue(), context.Queue()
    folder = tmp_path / "state"
    workers: list[Any] = [
        context.Process(target=launch_until_paused, args=(folder, f"process-{number}", start, out))
        for number in range(PROCESSES)
    ]
    workers.append(context.Process(target=pause_amid, args=(folder, start, paused)))
    for worker in workers:
        worker.start()
    told: list[Told] = []

    def all_in() -> bool:
        while not out.empty():
            told.append(out.get())
        assert not [worker.exitcode for worker in workers if worker.exitcode], "a process broke; see stderr"
        return len(told) == PROCESSES

    until_sync(all_in, within=120, what="an answer of every process")
    stored_ms = paused.get(timeout=60)
    for worker in workers:
        worker.join(timeout=60)
    assert sum(sent for sent, _, _ in told) > 0, "somebody launched before"
    assert max(last_ms for _, last_ms, _ in told) <= stored_ms, "nothing was sent after it was stored"
    assert max(met_ms for _, _, met_ms in told) - stored_ms < OBEYED_MS
