"""One policy for all hosts: who may launch by it, who is refused, and how it is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from console.domain.caps import RefusalKind
from console.domain.policy import SCHEDULES
from console.domain.task import MissedPolicy, Stage
from console.engine.models import AuditAct, AuditFilter, LaunchKind
from console.engine.scheduling.due import schedule_name
from console.engine.settings import EngineSettings, ProcessKind
from console.store.fleet_settings import FleetSettings
from tests.engine.building import BY, CAPS, a_task, settings
from tests.engine.fake_provider import FakeProvider
from tests.fleet.building import host
from tests.waiting import until

OURS = settings()
MORE_UNITS = settings(caps=replace(CAPS, daily_units=3_000_000))
OTHER_SCHEDULE = settings(replace(a_task(), schedule="0 4 * * *"))


async def test_a_host_with_another_cap_launches_nothing_until_its_config_is_that_of_the_fleet(
    fleet: FleetSettings, tmp_path: Path
) -> None:
    provider = FakeProvider()
    async with (
        host(fleet, tmp_path / "one", provider, OURS) as one,
        host(fleet, tmp_path / "two", provider, MORE_UNITS) as two,
    ):
        assert await two.store.policy.current() is None
        assert (await one.launch()).kind is LaunchKind.LAUNCHED
        stored = await two.store.policy.current()
        assert stored is not None
        assert (stored.policy, stored.by, stored.reason) == (OURS.policy, BY, "the first launch")

        for scheduled in (False, True):
            refused = await two.launch(target="b", scheduled=scheduled)
            assert refused.refusal is not None
            assert refused.refusal.kind is RefusalKind.POLICY
            expected = "daily_units is 3000 here and 2000 in the fleet; nightdesk store policy shows both"
            assert refused.refusal.sentence == expected
        assert len(provider.orders) <= 1, "only of the first host"

        changes = await two.engine.operations.take_policy(by=BY, reason="a larger plan")
        assert [(each.key, each.fleet, each.here) for each in changes] == [("daily_units", "2000", "3000")]
        assert await two.engine.operations.take_policy(by=BY, reason="again") == ()
        assert (await two.launch(target="b")).kind is LaunchKind.LAUNCHED
        refused = await one.launch(target="c")
        assert refused.refusal is not None
        assert refused.refusal.sentence.startswith("daily_units is 2000 here and 3000 in the fleet;")

        (act,), _ = await one.store.audit.acts(AuditFilter(acts=(AuditAct.POLICY,)), limit=5)
        assert (act.by, act.why, act.what) == (BY, "a larger plan", "daily_units 2000 -> 3000")
        lines = [line.fields for line in two.log() if line.fields.get("event") == "policy"]
        assert [(line["by"], line["why"], line["changes"]) for line in lines] == [(BY, act.why, act.what)]


async def test_a_proposal_is_not_approved_by_another_policy(fleet: FleetSettings, tmp_path: Path) -> None:
    async with (
        host(fleet, tmp_path / "one", FakeProvider(), OURS) as one,
        host(fleet, tmp_path / "two", FakeProvider(), MORE_UNITS) as two,
    ):
        assert (await one.launch(target="first")).kind is LaunchKind.LAUNCHED
        await one.engine.rollout.move("report", Stage.SEMI, by=BY, reason="a test", forced=True)
        proposed = await one.launch(scheduled=True)
        assert proposed.kind is LaunchKind.PROPOSED
        refused = await two.engine.operations.approve(proposed.run.id, by=BY)
        assert refused.refusal is not None
        assert refused.refusal.kind is RefusalKind.POLICY
        assert (await one.engine.operations.approve(proposed.run.id, by=BY)).kind is LaunchKind.LAUNCHED


@pytest.mark.parametrize("other", [OTHER_SCHEDULE, MORE_UNITS])
async def test_only_a_host_that_judges_as_the_fleet_schedules(
    fleet: FleetSettings, tmp_path: Path, other: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.engine.scheduling.scheduler.LOOK_EVERY_S", 0.2)
    ours, theirs = (replace(use, kind=ProcessKind.SERVE, schedules=True) for use in (OURS, other))
    async with host(fleet, tmp_path / "one", FakeProvider(), ours) as one:
        assert (await one.launch()).kind is LaunchKind.LAUNCHED
        async with host(fleet, tmp_path / "two", FakeProvider(), theirs) as two:

            def told() -> list[str]:
                return [each.text for each in two.engine.problems.entries() if each.topic == "policy"]

            await until(lambda: bool(told()))
            assert told()[0].startswith("nothing is scheduled here: ")
            await until(lambda: one.ownership.scheduler() == one.ownership.id)
            assert not two.ownership.take_schedule()
            by_hand = await two.launch(target="by hand")
            if other is OTHER_SCHEDULE:
                assert by_hand.kind is LaunchKind.LAUNCHED, "schedules concern launches on schedule only"
                refused = await two.launch(target="by cron", scheduled=True)
                assert refused.refusal is not None
                assert refused.refusal.sentence.startswith(f"{SCHEDULES} are 1 (")
            else:
                assert by_hand.kind is LaunchKind.REFUSED
            await two.engine.operations.take_policy(by=BY, reason="a test")
            two.engine.reload(theirs)
            await until(lambda: two.ownership.scheduler() == two.ownership.id, within=20)
            assert not told()


async def test_what_is_due_waits_for_a_host_that_may_launch_it(fleet: FleetSettings, tmp_path: Path) -> None:
    task = replace(a_task(), schedule="0 * * * *", missed=MissedPolicy.LATEST)
    async with (
        host(fleet, tmp_path / "one", FakeProvider(), settings(task)) as one,
        host(fleet, tmp_path / "two", FakeProvider(), settings(task, caps=replace(CAPS, daily_runs=7))) as two,
    ):
        now, cursors, scheduler = two.clock.now(), two.store.cursors, two.engine._scheduler
        assert await scheduler._judges_as_fleet(), "before the fleet has a policy"
        reached_ms = now.wall_ms - 3 * 3_600_000
        await cursors.begin([schedule_name(task)], now_ms=reached_ms, beyond_ms=now.wall_ms + 1)
        await one.engine.operations.take_policy(by=BY, reason="a test")
        await scheduler._launch_due(task, now.utc())
        assert await cursors.reached(schedule_name(task)) == reached_ms, "looked up again before it is launched"
        await one.engine._scheduler._launch_due(task, now.utc())
        reached = await cursors.reached(schedule_name(task))
        assert reached is not None
        assert now.wall_ms - reached < 3_600_000


async def test_a_policy_is_never_changed(fleet: FleetSettings, tmp_path: Path) -> None:
    async with host(fleet, tmp_path / "one", FakeProvider(), OURS) as one:
        await one.engine.operations.take_policy(by=BY, reason="a test")
    with psycopg.connect(fleet.url, autocommit=True, options=f"-c search_path={fleet.schema}") as connection:
        for statement in ("update policy set facts = '{}'", "delete from policy", "truncate policy"):
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
                connection.execute(statement.encode())
