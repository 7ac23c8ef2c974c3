"""Commands of two hosts that share one database, and of people who may only look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from console.demo import postgres_server
from console.simulator.server import SimulatorThread
from console.store.fleet_settings import FleetSettings
from console.store.postgres.administration import grant
from tests.cli.nightdesk import CAPS, Nightdesk


def _joins(nightdesk: Nightdesk, fleet: FleetSettings, host: str, more: str = "") -> None:
    nightdesk.configure(f'[store]\nurl = "{fleet.url}{more}"\nschema = "{fleet.schema}"\nhost = "{host}"\n{CAPS}')


@pytest.fixture
def hosts(tmp_path: Path, fleet: FleetSettings) -> Iterator[tuple[Nightdesk, Nightdesk]]:
    """Two hosts with a state folder each, at one simulated service."""
    with SimulatorThread() as simulator:
        found = []
        for name in ("web1", "web2"):
            (tmp_path / name).mkdir()
            host = Nightdesk(folder=tmp_path / name, url=simulator.url, service=simulator.state)
            _joins(host, fleet, name)
            found.append(host)
        yield found[0], found[1]
        for host in found:
            host.close()


def test_a_key_is_launched_once_and_every_host_sees_the_run(hosts: tuple[Nightdesk, Nightdesk]) -> None:
    web1, web2 = hosts
    assert web1.launch("good").code == 0
    skipped = web2("run", "good", "--origin", "manual")
    assert (skipped.code, "skipped" in skipped.err) == (0, True)
    assert web1.service.started() == 1
    assert web2.launch("endless", "--no-wait").code == 0
    assert [run["task"] for run in web1.live()] == ["endless"]
    assert [line["host"] for line in web1("log", "--json").json][:2] == ["web1", "web1"]
    (kept,) = web1("store", "--json").json["processes"]
    assert (kept["host"], kept["lease_seconds"] > 0) == ("web2", True)
    assert [run["host"] for run in web1("ps", "--json").json] == ["web2"]
    assert "HOST" in web1("ps").out
    assert web1("cancel", "endless").code == 0
    assert web1.live() == []


def test_history_and_audit_name_the_host(hosts: tuple[Nightdesk, Nightdesk], fleet: FleetSettings) -> None:
    web1, web2 = hosts
    assert web1.launch("good").code == 0
    assert web2.launch("failing").code == 1
    assert web1("pause", "--reason", "look").code == 0
    assert web2("resume").code == 0
    for more, tasks in (
        (("--host", "web1"), {"good"}),
        (("--host", "web2"), {"failing"}),
        (("--host", "web1", "--host", "web2"), {"good", "failing"}),
        (("--filter", "-host:web1"), {"failing"}),
        (("--filter", "host:web2 failing"), {"failing"}),
        (("--host", "web3"), set()),
    ):
        done = web2("history", *more, "--json")
        assert done.code == 0, done.err
        assert {run["task"] for run in done.json} == tasks, more
    web1.configure(CAPS)
    refused = web1("--state-dir", str(web1.folder / "alone"), "history", "--host", "web1")
    assert (refused.code, "without it there is one host" in refused.err) == (2, True), refused.err
    _joins(web1, fleet, "web1")
    assert [entry["host"] for entry in web1("audit", "--json").json] == ["web2", "web1"]
    assert "on web2" in web1("audit").out


def test_doctor_looks_at_the_database(hosts: tuple[Nightdesk, Nightdesk], fleet: FleetSettings) -> None:
    web1, _ = hosts
    assert web1.launch("good").code == 0
    found = web1("doctor", "--json").json
    told = {(each["check"], each["level"]): each["told"] for each in found}
    assert any("ms away" in each["told"] for each in found if each["check"] == "database")
    assert "owns the schema" in told["role", "warn"]
    assert told["hosts", "ok"] == "no host schedules"
    assert "holds all" in told["log", "ok"]
    with psycopg.connect(fleet.url, autocommit=True, options=f"-c search_path={fleet.schema}") as connection:
        connection.execute("alter table events disable trigger user")
        connection.execute("delete from events where ev > 1")
    done = web1("doctor")
    assert done.code == 8
    assert "FAIL  log         the database went back: line 2 of this host's log is not in it" in done.out


def test_a_host_with_another_cap_is_refused_until_its_policy_is_taken(hosts: tuple[Nightdesk, Nightdesk]) -> None:
    web1, web2 = hosts
    before = web1("store", "policy", "--json").json
    assert (before["agrees"], before["at"], before["values"][0]["fleet"]) == (True, None, None)
    assert "none yet" in web1("store", "policy").out
    assert web1.launch("good").code == 0
    path = web2.folder / "nightdesk.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("daily_units = 2000", "daily_units = 3000"))
    refused = web2("run", "failing", "--origin", "manual")
    sentence = "daily_units is 3000 here and 2000 in the fleet"
    assert (refused.code, sentence in refused.err) == (6, True), refused.err
    shown = web2("store", "policy", "--json").json
    assert (shown["agrees"], shown["host"], shown["reason"]) == (False, "web1", "the first launch")
    assert shown["values"][0] == {"key": "daily_units", "here": "3000", "fleet": "2000"}
    table = [line.split() for line in web2("store", "policy").out.splitlines()]
    assert ["daily_units", "3000", "2000", "differs"] in table
    assert f"FAIL  policy      {sentence}; launches are refused here" in web2("doctor").out

    for wrong in (("--take",), ("--reason", "R"), ("--take", "--reason", " ")):
        assert web2("store", "policy", *wrong).code in (2, 6), wrong
    taken = web2("store", "policy", "--take", "--reason", "a larger plan", "--json")
    assert (taken.code, taken.json["agrees"], taken.json["host"]) == (0, True, "web2"), taken.err
    assert "daily_units: 2000 -> 3000 in the fleet" in taken.err
    assert "nothing was changed" in web2("store", "policy", "--take", "--reason", "again").err
    assert web2("run", "failing", "--origin", "manual").code == 1
    (act,) = web1("audit", "--act", "policy", "--json").json
    assert (act["what"], act["why"]) == ("daily_units 2000 -> 3000", "a larger plan")
    assert "event=policy" in web1("log").out


def test_a_launch_that_the_database_lost_is_put_back(hosts: tuple[Nightdesk, Nightdesk], fleet: FleetSettings) -> None:
    web1, web2 = hosts
    assert web1.launch("good").code == 0
    with psycopg.connect(fleet.url, autocommit=True, options=f"-c search_path={fleet.schema}") as connection:
        connection.execute("set session_replication_role = replica")
        for table in ("runs", "sends", "steps", "holds", "events", "day_sums"):
            connection.execute(f"delete from {table}".encode())
    refused = web1("run", "good", "--origin", "manual")
    assert refused.code == 8, refused.err
    assert "the database went back: line 2 of this host's log is not in it; launches are paused" in refused.err
    elsewhere = web2("run", "failing", "--origin", "manual")
    assert (elsewhere.code, "launches are paused by nightdesk" in elsewhere.err) == (6, True), elsewhere.err

    back = web1("store", "reclaim", "--json")
    assert (back.code, [run["task"] for run in back.json["runs"]]) == (0, ["good"]), back.err
    assert [run["state"] for run in web2.live()] == ["unconfirmed"]
    assert "the database lacks no launch" in web1("store", "reclaim").err
    given_up = web1("store", "accept-loss", "--reason", "a drill")
    assert (given_up.code, "given up: 2 log lines and 0 launches" in given_up.err) == (0, True), given_up.err
    assert "lacks nothing" in web1("store", "accept-loss", "--reason", "a drill").err
    assert web1("resume").code == 0
    held = web1("run", "good", "--origin", "manual")
    assert ("is unconfirmed: settle it first" in held.err, web1.service.started()) == (True, 1), held.err
    assert web1.launch("failing").code == 1


def test_a_reader_looks_and_launches_nothing(hosts: tuple[Nightdesk, Nightdesk], fleet: FleetSettings) -> None:
    web1, web2 = hosts
    assert web1.launch("good").code == 0
    engine, reader = f"engine_{os.urandom(4).hex()}", f"reader_{os.urandom(4).hex()}"
    with psycopg.connect(fleet.url, autocommit=True) as connection:
        for name in (engine, reader):
            connection.execute(f"create role {name} login".encode())
    grant(fleet, engine, reader)
    _joins(web1, fleet, "web1", f"&user={engine}")
    assert web1.launch("failing").code == 1, "an engine needs no more than it was given"
    web2.environment["NIGHTDESK_READ_ONLY"] = "locked"
    _joins(web2, fleet, "web2", f"&user={reader}")
    assert web2.live() == []
    past = web2("history", "--json")
    assert past.code == 0, past.err
    assert {run["task"] for run in past.json} == {"good", "failing"}
    assert web2("store", "--json").json["may_write"] is False
    assert "may only read" in web2("doctor").out
    refused = web2("run", "endless", "--origin", "manual")
    assert (refused.code, len(refused.err.splitlines())) == (6, 1), refused.err
    del web2.environment["NIGHTDESK_READ_ONLY"]
    refused = web2("run", "endless", "--origin", "manual")
    assert refused.code == 8
    assert "permission denied" in refused.err or "read-only" in refused.err
    assert web2.service.started() == 2


def test_commands_for_a_folder_say_where_the_runs_are(hosts: tuple[Nightdesk, Nightdesk]) -> None:
    web1, _ = hosts
    assert web1.launch("good").code == 0
    for command in (("backup", "copy"), ("restore", "copy"), ("doctor", "--reconcile")):
        refused = web1(*command)
        assert (refused.code, "is for the database of a state folder" in refused.err) == (2, True), command
    assert web1("log", "rebuild", "--json").json["lines"] == 2


def test_without_its_database_nothing_is_launched(hosts: tuple[Nightdesk, Nightdesk], fleet: FleetSettings) -> None:
    web1, web2 = hosts
    assert web1.launch("good").code == 0
    web1.configure(f'[store]\nurl = "postgresql://me@127.0.0.1:1/x"\n{CAPS}')
    for command in (("run", "failing"), ("ps",), ("ps", "--json"), ("store",)):
        refused = web1(*command)
        assert (refused.code, "does not answer" in refused.err) == (8, True), (command, refused.err)
    assert web1.service.started() == 1
    shutil.copytree(web1.state, web2.state)
    (web2.state / "fleet.id").write_text("0" * 32 + "\n")
    refused = web2("run", "failing", "--origin", "manual")
    assert (refused.code, "this folder belongs to 00000000; nothing is launched" in refused.err) == (8, True)


def test_the_demo_of_a_fleet_says_what_it_lacks(
    nightdesk: Nightdesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "PACKAGES", tmp_path)
    refused = nightdesk("demo", "--fleet")
    assert refused.code == 6
    assert refused.err.splitlines()[-1].endswith(f"no PostgreSQL server in {tmp_path}: apt-get install postgresql")
    assert nightdesk("demo", "--fleet", "--face", "openai").code == 2
