"""Hosts of a fleet that went silent are named: since when, and whether runs of them wait."""

from __future__ import annotations

from dataclasses import replace

from console.engine.models import Owner
from console.engine.silent_hosts import REMEMBERED_MS, SilentHosts
from tests.ui import samples

NOW_MS = samples.NOW.wall_ms
HERE = Owner(id="here", kind="console", pid=1, alive=True, mine=True, host="web1", beat_ms=NOW_MS)
THERE = Owner(id="there", kind="serve", pid=2, alive=False, mine=False, host="web2", beat_ms=NOW_MS - 60_000)
RUN = replace(samples.run(1), owner="there")


def named(hosts: SilentHosts, *owners: Owner, now_ms: int = NOW_MS, runs: int = 0) -> list[str]:
    """The texts of the problems."""
    live = [replace(RUN, id=samples.run(number).id) for number in range(1, runs + 1)]
    return [each.text for each in hosts.problems(owners, live, now_ms=now_ms, time_zone="Europe/Berlin")]


def test_a_host_without_a_living_process_is_named_with_its_runs() -> None:
    hosts = SilentHosts()
    since = "the host web2 is silent since 04:19"
    assert named(hosts, HERE, THERE, runs=2) == [f"{since}; 2 runs of it wait to be taken over"]
    assert named(hosts, HERE, THERE, runs=1) == [f"{since}; 1 run of it waits to be taken over"]
    assert named(hosts, HERE, THERE) == [f"{since}; no run is left to it"]


def test_it_stays_named_when_its_row_is_gone_until_it_is_back_or_long_ago() -> None:
    hosts = SilentHosts()
    named(hosts, HERE, THERE)
    assert len(named(hosts, HERE)) == 1
    assert named(hosts, HERE, now_ms=NOW_MS + REMEMBERED_MS) == []
    named(hosts, HERE, THERE)
    back = replace(THERE, id="again", alive=True, beat_ms=NOW_MS)
    assert named(hosts, HERE, THERE, back) == []
    assert named(hosts, HERE) == []


def test_who_left_in_order_and_who_is_alone_on_one_machine_is_not_silent() -> None:
    hosts = SilentHosts()
    alive = replace(THERE, alive=True)
    assert named(hosts, HERE, alive) == []
    assert named(hosts, HERE) == [], "its row was removed by itself"
    assert named(hosts, replace(THERE, host="")) == []
