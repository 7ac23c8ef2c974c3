"""`store` and its commands as their user sees them: a folder, then a database of several hosts in its place."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from tests.cli.nightdesk import CAPS, Nightdesk


@pytest.fixture
def in_fleet(nightdesk: Nightdesk, postgres: str) -> Nightdesk:
    """A folder with two runs whose config names a schema without a store."""
    assert nightdesk.launch("good").code == 0
    assert nightdesk.launch("failing").code == 1
    nightdesk.configure(f'[store]\nurl = "{postgres}"\nschema = "cli_{os.urandom(6).hex()}"\nhost = "web1"\n{CAPS}')
    return nightdesk


def test_a_folder_is_shown(nightdesk: Nightdesk) -> None:
    assert nightdesk.launch("good").code == 0
    found = nightdesk("store", "--json")
    assert (found.code, found.json["kind"], found.json["place"]) == (0, "sqlite", str(nightdesk.state))
    shown = nightdesk("store").out
    assert f"store      SQLite {found.json['server']} in {nightdesk.state}" in shown
    for command in (("init",), ("grant", "x"), ("migrate",), ("move",)):
        refused = nightdesk("store", *command)
        assert refused.code == 2
        assert "the config names no database: set url or service" in refused.err


def test_a_folder_is_moved_into_a_new_store(in_fleet: Nightdesk) -> None:
    missing = in_fleet("store")
    assert missing.code == 8
    assert "holds no store that this role can read" in missing.err
    assert in_fleet("store", "init", "--json").json["before"] == 0
    again = in_fleet("store", "init")
    assert (again.code, "holds a store already: nothing was changed" in again.err) == (0, True)
    assert "of version 1, the current one" in in_fleet("store", "migrate").err

    moved = in_fleet("store", "move", "--json")
    assert moved.code == 0, moved.err
    assert (moved.json["runs"], moved.json["last_ev"]) == (2, 4)
    shown = in_fleet("store", "--json").json
    assert (shown["kind"], shown["id"], shown["version"]) == ("postgresql", moved.json["id"], shown["latest"])
    assert (shown["may_write"], shown["processes"], shown["scheduler"]) == (True, [], None)
    told = in_fleet("store").out
    assert f"id         {moved.json['id']}" in told
    assert "scheduler  none" in told

    in_fleet.configure(CAPS)
    for command in (("run", "good"), ("ps", "--json"), ("history",), ("store",), ("backup", "copy")):
        refused = in_fleet(*command)
        assert (refused.code, "was moved into a database of several hosts" in refused.err) == (8, True), command


def test_roles_are_shared_and_mistakes_are_one_line(in_fleet: Nightdesk, postgres: str) -> None:
    assert in_fleet("store", "init").code == 0
    names = [f"cli_{os.urandom(6).hex()}" for _ in range(2)]
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in names:
            connection.execute(f"create role {name} login".encode())
    done = in_fleet("store", "grant", names[0], "--reader", names[1])
    assert (done.code, f"{names[0]} may use the store" in done.err) == (0, True), done.err
    for arguments, told in (
        (("grant", "nobody_here"), "no role is named nobody_here"),
        (("migrate", "--role", "nobody_here"), "nobody_here"),
        (("grant", names[1], "--role", names[0]), f"{names[0]} does not own the schema"),
    ):
        refused = in_fleet("store", *arguments)
        assert (refused.code, len(refused.err.splitlines()), told in refused.err) == (8, 1, True), refused.err


def test_the_statements_are_printed_without_a_connection(in_fleet: Nightdesk) -> None:
    in_fleet.configure(f'[store]\nurl = "postgresql://me@nowhere.invalid/ops"\n{CAPS}')
    script = in_fleet("store", "init", "--print").out
    assert script.startswith("begin;\ncreate schema nightdesk;")
    assert script.rstrip().endswith("commit;")
    done = in_fleet("store", "init", "--print", "--json")
    assert done.json["place"] == "nowhere.invalid"
    away = in_fleet("store")
    assert (away.code, "the state database at nowhere.invalid does not answer" in away.err) == (8, True)


def test_a_process_on_the_folder_holds_a_move_up(in_fleet: Nightdesk) -> None:
    assert in_fleet("store", "init").code == 0
    path: Path = in_fleet.folder / "nightdesk.toml"
    with_fleet = path.read_text(encoding="utf-8")
    in_fleet.configure(CAPS)
    assert in_fleet.launch("endless", "--no-wait").code == 0
    path.write_text(with_fleet, encoding="utf-8")
    refused = in_fleet("store", "move")
    assert refused.code == 6
    assert "processes of nightdesk on this state folder; end every console" in refused.err
    in_fleet.configure(CAPS)
    assert in_fleet("cancel", "--all").code == 0


def test_the_missing_driver_is_named(in_fleet: Nightdesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for command in (("store",), ("store", "init"), ("store", "move")):
        refused = in_fleet(*command)
        assert (refused.code, "pip install 'nightdesk[fleet]'" in refused.err) == (8, True), refused.err
