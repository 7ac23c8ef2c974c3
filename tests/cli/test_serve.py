"""`serve` takes over runs of dead owners, and hands over its runs when it is terminated."""

from __future__ import annotations

import asyncio
import signal
import time

from console.engine.clock import SystemClock
from console.store.store import Store
from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync


def test_a_run_of_a_dead_owner_is_taken_over_and_handed_over(nightdesk: Nightdesk) -> None:
    serving = nightdesk.start("serve")
    assert serving.stderr is not None
    assert serving.stderr.readline().startswith("serving 9 tasks")
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["running"], what="the launch")
    running.kill()
    nightdesk.ended(running)
    until_sync(lambda: _guarding(nightdesk) == "serve", what="the take-over")

    asked = time.monotonic()
    serving.send_signal(signal.SIGTERM)
    done = nightdesk.ended(serving)

    assert done.code == 0
    assert time.monotonic() - asked < 10
    assert "supervised by the background supervisor" in done.err
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", "--all").code == 0


def test_under_systemd_it_just_goes_and_says_how_many_wait(nightdesk: Nightdesk) -> None:
    nightdesk.environment["INVOCATION_ID"] = "0123456789abcdef"
    serving = nightdesk.start("serve")
    assert serving.stderr is not None
    serving.stderr.readline()

    serving.send_signal(signal.SIGTERM)

    assert nightdesk.ended(serving).code == 0
    assert "0 runs wait for the restart" in (nightdesk.state / "diag.log").read_text()


def test_it_says_whether_it_schedules_and_what_comes_next(nightdesk: Nightdesk) -> None:
    for stage, told in (("manual", "nothing is scheduled"), ("semi", "scheduling; next: nightly is proposed at ")):
        if stage == "semi":
            assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test").code == 0
        serving = nightdesk.start("serve")
        assert serving.stderr is not None
        serving.stderr.readline()
        assert serving.stderr.readline().startswith(told)
        serving.send_signal(signal.SIGTERM)
        assert nightdesk.ended(serving).code == 0


def test_it_does_not_serve_without_a_key(nightdesk: Nightdesk) -> None:
    del nightdesk.environment["GEMINI_API_KEY"]

    done = nightdesk("serve")

    assert (done.code, "GEMINI_API_KEY" in done.err) == (2, True)


def _guarding(nightdesk: Nightdesk) -> str | None:
    """Return the kind of the process that supervises the only run."""

    async def kind() -> str | None:
        store = await Store.open(nightdesk.state, now=SystemClock().now(), read_only=True)
        try:
            (run,) = await store.runs.open_runs()
            owners = {owner.id: owner.kind for owner in await store.controls.owners()}
            return owners.get(run.owner or "")
        finally:
            await store.close()

    return asyncio.run(kind())
