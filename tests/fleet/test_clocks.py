"""One wall clock for all hosts: what a host believes, and what a host with a wrong clock may not do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.domain.caps import RefusalKind
from console.domain.run import State
from console.domain.timestamps import Timestamp
from console.engine.clock import SystemClock
from console.engine.fleet_clock import SAMPLES, FleetClock
from console.engine.models import LaunchKind, LaunchRequest
from console.engine.settings import ProcessKind
from console.store.fleet_settings import FleetSettings
from tests.clock import ManualClock
from tests.engine.building import BY, settings
from tests.engine.fake_provider import FakeProvider
from tests.fleet.building import host
from tests.waiting import until

DAY_MS = 86_400_000
SCHEDULED = LaunchRequest(task="report", by=BY, scheduled=True)
CRON = settings(kind=ProcessKind.RUN)


class WrongClock:
    """The system's clocks, with a wall clock that is set wrong."""

    def __init__(self, seconds: float) -> None:
        self._system = SystemClock()
        self.wrong_ms = int(seconds * 1000)

    def now(self) -> Timestamp:
        """Read both clocks."""
        read = self._system.now()
        return replace(read, wall_ms=read.wall_ms + self.wrong_ms)


def sample(clock: FleetClock, system: ManualClock, *, ahead_s: float, took_s: float = 0.0) -> None:
    """Have the database answer with a clock that is `ahead_s` ahead of that of the host."""
    asked = system.now()
    middle_ms = asked.wall_ms + int(took_s * 500)
    clock.sample(middle_ms + int(ahead_s * 1000), asked=asked, answered=system.advance(took_s))


def test_the_best_of_the_last_samples_counts_and_the_boot_clock_carries_it_on() -> None:
    system = ManualClock()
    clock = FleetClock(system)
    assert clock.now() == system.now(), "before the first sample"
    sample(clock, system, ahead_s=100, took_s=0.4)
    sample(clock, system, ahead_s=100.05, took_s=0.02)
    sample(clock, system, ahead_s=99.9, took_s=0.3)
    assert clock.behind_ms == 100_050
    assert clock.round_trip_ms == 20
    system.step_wall(-3600)
    assert clock.behind_ms == 3_700_050, "a step of the host's wall clock moves nothing"
    before = clock.now()
    system.advance(10)
    assert clock.now().wall_ms - before.wall_ms == 10_000
    for _ in range(SAMPLES):
        sample(clock, system, ahead_s=3700, took_s=0.1)
    assert clock.behind_ms == 3_700_000, "old samples are forgotten"


def test_a_step_of_the_database_clock_is_believed_at_once() -> None:
    system = ManualClock()
    clock = FleetClock(system)
    sample(clock, system, ahead_s=0, took_s=0.01)
    sample(clock, system, ahead_s=400, took_s=0.5)
    assert clock.behind_ms == 400_000


@pytest.mark.parametrize("wrong_s", [-183, 183])
async def test_scheduled_launches_of_a_host_with_a_wrong_clock_are_refused_and_others_are_not(
    fleet: FleetSettings, tmp_path: Path, wrong_s: float
) -> None:
    provider = FakeProvider()
    async with host(fleet, tmp_path / "one", provider, CRON, system=WrongClock(wrong_s)) as wrong:
        refused = await wrong.launch(scheduled=True)
        assert refused.kind is LaunchKind.REFUSED
        assert refused.refusal is not None
        assert refused.refusal.kind is RefusalKind.CLOCK
        told = re.search(r"is (\d+) s (behind|ahead of) ", refused.refusal.sentence)
        assert told is not None, refused.refusal.sentence
        assert told[2] == ("behind" if wrong_s < 0 else "ahead of")
        # The clock of the database is known to half a round trip, which takes a while on a busy machine.
        assert abs(int(told[1]) - 183) <= 2
        assert not provider.orders
        by_hand = (await wrong.launch()).run
        run = await wrong.reaches(by_hand.id, State.RUNNING)
        assert run.sent is not None
        assert abs(run.sent.wall_ms - SystemClock().now().wall_ms) < 5_000, "times are those of the database"


async def test_the_later_of_both_clocks_makes_the_date_of_a_scheduled_launch(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host(fleet, tmp_path / "one", FakeProvider(), CRON) as one:
        operations, context = one.engine.operations, one.engine._context
        for night, behind_ms, expected in (
            (datetime(2026, 11, 23, 23, 59, 58, tzinfo=UTC), -3_000, "2026-11-24"),
            (datetime(2026, 11, 24, 0, 0, 2, tzinfo=UTC), 3_000, "2026-11-24"),
            (datetime(2026, 11, 23, 23, 59, 58, tzinfo=UTC), 0, "2026-11-23"),
        ):
            monkeypatch.setattr(context, "clock", ManualClock(night))
            monkeypatch.setattr(context, "clock_behind_ms", lambda behind_ms=behind_ms: behind_ms)
            found = await one.engine.queries.preview(SCHEDULED)
            assert operations.terms(SCHEDULED).date == found.date == expected


async def test_hosts_with_boot_clocks_of_their_own_do_not_take_each_other_for_a_step(
    fleet: FleetSettings, tmp_path: Path
) -> None:
    use = settings(kind=ProcessKind.SERVE)
    async with (
        host(fleet, tmp_path / "one", FakeProvider(), use, system=_Rebooted(0)) as one,
        host(fleet, tmp_path / "two", FakeProvider(), use, system=_Rebooted(7 * DAY_MS)) as two,
    ):
        for _ in range(2):
            await one.next_tick()
            await two.next_tick()
        assert await one.store.controls.paused() is None
        names = [f"clock_baseline:{each.clock.now().boot_id}" for each in (one, two)]

        async def known() -> bool:
            return all([await one.store.controls.meta_get(name) for name in names])

        await until(known)
        assert not [line for line in one.log() if line.fields.get("event") == "clock"]


class _Rebooted:
    """The clocks of a machine that was started at another time."""

    def __init__(self, since_ms: int) -> None:
        self._system = SystemClock()
        self._since_ms = since_ms

    def now(self) -> Timestamp:
        read = self._system.now()
        return replace(read, boot_ms=read.boot_ms + self._since_ms, boot_id=f"boot-{self._since_ms}")
