"""Another process schedules within seconds of the death of the scheduler; the kill switch reaches all processes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import pytest

from console.engine.clock import SystemClock
from console.store.store import Store
from tests.cli.nightdesk import CAPS, Nightdesk
from tests.notify.receiver import receiving_in_thread
from tests.waiting import until_sync

MINUTELY = '[[tasks]]\nname = "minutely"\nprompt = "Go."\nschedule = "* * * * *"\nwindow = "slot"\n'


@contextmanager
def serving(nightdesk: Nightdesk) -> Iterator[Popen[str]]:
    process = nightdesk.start("serve")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("serving")
    try:
        yield process
    finally:
        process.terminate()
        nightdesk.ended(process)


def scheduler_pid(nightdesk: Nightdesk) -> int | None:
    """Return the holder of the scheduler lock, by the owner in the lock file and its stored pid."""

    async def pid() -> int | None:
        store = await Store.open(nightdesk.state, now=SystemClock().now(), read_only=True)
        try:
            owners = {owner.id: owner.pid for owner in await store.controls.owners()}
        finally:
            await store.close()
        lock = nightdesk.state / "scheduler.lock"
        return owners.get(lock.read_text()) if lock.exists() else None

    return asyncio.run(pid())


def test_after_kill_9_another_schedules_within_seconds(nightdesk: Nightdesk) -> None:
    with serving(nightdesk) as first:
        until_sync(lambda: scheduler_pid(nightdesk) == first.pid, within=30, what="the first scheduler")
        with serving(nightdesk) as second:
            time_of_death = time.monotonic()
            first.kill()
            until_sync(lambda: scheduler_pid(nightdesk) == second.pid, within=30, what="the second scheduler")
            assert time.monotonic() - time_of_death < 10


@pytest.mark.proofs
def test_a_stopped_process_neither_keeps_the_schedule_nor_the_messages(nightdesk: Nightdesk) -> None:
    with receiving_in_thread() as receiver:
        nightdesk.configure(f'{CAPS}[notify]\ndebounce_seconds = 0\nwebhook = "{receiver.url}"\n')
        with serving(nightdesk) as stopped:
            until_sync(lambda: scheduler_pid(nightdesk) == stopped.pid, what="the first scheduler")
            until_sync((nightdesk.state / "notify.lock").exists)
            with serving(nightdesk) as other:
                stopped.send_signal(signal.SIGSTOP)
                assert nightdesk("run", "lost", "--origin", "manual").code == 7
                until_sync(lambda: scheduler_pid(nightdesk) == other.pid, within=90, what="the second scheduler")
                until_sync(lambda: receiver.kinds, within=90, what="a message of the second process")
                stopped.send_signal(signal.SIGCONT)
                # The stopped one comes round again, and repeats nothing.
                assert nightdesk("run", "rejected", "--origin", "manual").code == 6
                until_sync(lambda: len(receiver.bodies) >= 2)
                assert scheduler_pid(nightdesk) == other.pid
                assert receiver.kinds == ["unconfirmed", "failed"]


@pytest.mark.soak
def test_two_schedulers_and_cron_launch_a_minute_once(nightdesk: Nightdesk) -> None:
    config = nightdesk.folder / "nightdesk.toml"
    config.write_text(config.read_text() + MINUTELY)
    for stage in ("semi", "unattended"):
        assert nightdesk("stage", "minutely", stage, "--force", "--reason", "for this test").code == 0
    with serving(nightdesk), serving(nightdesk):
        until_sync(lambda: nightdesk.service.started() >= 1, within=90, what="the next minute")
        for _ in range(3):
            assert nightdesk("run", "minutely", "--origin", "schedule").code == 0
    history = nightdesk("history", "--task", "minutely", "--json").json
    ran = [run["date"] for run in history if run["outcome"] != "skipped"]
    assert len(ran) == len(set(ran)) == nightdesk.service.started()


def test_pause_with_cancel_stops_what_other_processes_guard(nightdesk: Nightdesk) -> None:
    guards = [nightdesk.start("run", "endless", "--target", name, "--origin", "manual") for name in ("one", "two")]
    until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["running"] * 2, within=30, what="two live runs")
    assert nightdesk("pause", "--cancel").code == 0
    assert nightdesk.service.live() == 0
    assert [nightdesk.ended(guard).code for guard in guards] == [5, 5]
    refused = nightdesk.launch("good")
    assert (refused.code, refused.json["refusal"]["kind"]) == (6, "paused")
    assert nightdesk("resume").code == 0
    assert nightdesk.launch("good").code == 0
