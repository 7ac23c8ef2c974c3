"""The kill switch stops processes that launch as fast as they can: none sends once the pause is stored."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from tests.races.launchers import Sent, launch_until_paused, pause_amid
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
    answers: list[Sent] = []

    def all_in() -> bool:
        while not out.empty():
            answers.append(out.get())
        assert not [worker.exitcode for worker in workers if worker.exitcode], "a process broke; see stderr"
        return len(answers) == PROCESSES

    until_sync(all_in, within=120, what="an answer of every process")
    stored_ms = paused.get(timeout=60)
    for worker in workers:
        worker.join(timeout=60)
    assert sum(sent for sent, _, _ in answers) > 0, "some process launched before the pause"
    assert max(last_ms for _, last_ms, _ in answers) <= stored_ms, "nothing was sent after the pause was stored"
    assert max(met_ms for _, _, met_ms in answers) - stored_ms < OBEYED_MS
