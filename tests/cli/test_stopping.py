"""A process that ends leaves no run unsupervised, and a stop succeeds once the provider reports the end."""

from __future__ import annotations

import signal
import time

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.proofs),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.proofs),
    ],
)
def test_a_run_is_handed_over(nightdesk: Nightdesk, number: signal.Signals, code: int) -> None:
    process = nightdesk.start("run", "endless", "--origin", "manual", "--json")
    until_sync(lambda: nightdesk.service.started() == 1, what="the launch")
    asked = time.monotonic()
    process.send_signal(number)

    done = nightdesk.ended(process)

    assert done.code == code
    assert time.monotonic() - asked < 10
    assert "supervised by the background supervisor (pid " in done.err
    assert f"nightdesk --state-dir {nightdesk.state} cancel {done.json['run'][:12]}" in done.err
    assert nightdesk.service.live() == 1, "a hand-over does not stop the run"
    stopped = nightdesk("cancel", "--all", "--json")
    assert (stopped.code, stopped.json[0]["outcome"]) == (0, "cancelled")
    assert nightdesk.service.live() == 0


@pytest.mark.proofs
def test_the_background_supervisor_keeps_the_time_and_then_ends(nightdesk: Nightdesk) -> None:
    left = nightdesk("run", "limited", "--origin", "manual", "--no-wait", "--json")
    assert (left.code, left.json["state"]) in ((0, "running"), (0, "stopping"))

    until_sync(lambda: nightdesk.service.live() == 0, what="the timeout")
    until_sync(lambda: nightdesk.live() == [], what="the end in the books")

    assert nightdesk("history", "--outcome", "timeout", "--json").json[0]["run"] == left.json["run"]
    diag = (nightdesk.state / "diag.log").read_text()
    assert "canary" not in diag
    assert "error" not in diag.lower()


def test_a_stop_that_is_not_proven_in_time_fails(nightdesk: Nightdesk) -> None:
    run = nightdesk.launch("endless", "--no-wait").json["run"]
    nightdesk.service.set_faults(("cancel.never",))

    unproven = nightdesk("cancel", run, "--timeout", "0.5", "--json")
    assert (unproven.code, unproven.json[0]["state"]) == (7, "stopping")

    nightdesk.service.clear_faults()
    assert nightdesk("cancel", run).code == 0


def test_the_kill_switch(nightdesk: Nightdesk) -> None:
    nightdesk.launch("endless", "--no-wait")

    paused = nightdesk("pause", "--cancel", "--json")
    assert (paused.code, paused.json["runs"][0]["reason"]) == (0, "kill_switch")
    assert nightdesk.service.live() == 0
    assert "PAUSED" in nightdesk("ps").out
    refused = nightdesk.launch("good")
    assert (refused.code, refused.json["refusal"]["kind"]) == (6, "paused")

    assert nightdesk("resume").code == 0
    assert nightdesk.launch("good").code == 0


def test_a_key_can_be_cancelled_and_a_typing_mistake_stops_nothing(nightdesk: Nightdesk) -> None:
    key = nightdesk.launch("endless", "--no-wait").json["key"]

    assert nightdesk("cancel", key, "0000000000000000").code == 2
    assert nightdesk("cancel").code == 2
    assert nightdesk.service.live() == 1
    assert nightdesk("cancel", key).code == 0
    again = nightdesk("cancel", key)
    assert (again.code, "(ended before)" in again.err) == (0, True)
