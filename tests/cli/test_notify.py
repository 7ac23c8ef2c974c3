"""Real processes tell people what came up: a lone `run`, a `serve` whose config changes, and `notify test`."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.cli.nightdesk import CAPS, Nightdesk
from tests.notify.receiver import ReplyMode, receiving_in_thread
from tests.waiting import until_sync

NOTIFY = "[notify]\ndebounce_seconds = 0\n"


def configure(nightdesk: Nightdesk, lines: str) -> None:
    nightdesk.configure(f"{CAPS}{NOTIFY}{lines}\n")


def test_without_a_way_to_tell_people_nobody_is_told(nightdesk: Nightdesk) -> None:
    done = nightdesk("notify", "test")
    assert done.code == 2
    assert "[notify] of the config has none of command, webhook" in done.err
    assert "nobody is told anything" in nightdesk("notify").out


def test_a_test_message_goes_through_every_channel(nightdesk: Nightdesk) -> None:
    with receiving_in_thread() as good, receiving_in_thread(ReplyMode.REFUSES) as bad:
        addresses = nightdesk.folder / "hooks"
        addresses.write_text(f"{bad.url}\n", encoding="utf-8")
        addresses.chmod(0o600)
        configure(nightdesk, f'webhook = "{good.url}"\nwebhook_file = "hooks"\ndaily_summary = "08:00"')
        done = nightdesk("notify", "test", "--json")
        assert done.code == 75
        assert [(each["delivered"], each["why"]) for each in done.json] == [(True, None), (False, "answered 400")]
        assert good.kinds == bad.kinds == ["test"]
        shown = nightdesk("notify").out
        assert "daily summary  08:00" in shown
        assert "canary" not in shown + done.out + done.err + nightdesk("doctor").out
        assert "people are told by webhook 127.0.0.1" in nightdesk("doctor").out


def test_a_lone_run_tells_what_became_of_it_before_it_ends(nightdesk: Nightdesk) -> None:
    with receiving_in_thread() as receiver:
        configure(nightdesk, f'webhook = "{receiver.url}"')
        assert nightdesk("run", "good", "--origin", "manual").code == 0
        assert nightdesk("run", "lost", "--origin", "manual").code == 7
        assert nightdesk("run", "timed", "--origin", "manual").code == 3
        assert [body["text"] for body in receiver.bodies] == ["lost is unconfirmed", "timed was cut off: timeout"]
        assert "canary-key" not in str(receiver.bodies)


def test_a_receiver_that_hangs_changes_no_exit_code(nightdesk: Nightdesk) -> None:
    with receiving_in_thread(ReplyMode.HANGS) as receiver:
        configure(nightdesk, f'webhook = "{receiver.url}"')
        before = time.monotonic()
        assert nightdesk("run", "failing", "--origin", "manual").code == 1
        assert time.monotonic() - before < 30
        receiver.mode = ReplyMode.TAKES
        assert nightdesk("run", "good", "--origin", "manual").code == 0
        assert receiver.kinds == ["failed", "failed"], "the next process tells what the first one could not"


@pytest.mark.proofs
def test_serve_tells_from_the_moment_the_config_says_so_and_ends_whatever_the_receiver_does(
    nightdesk: Nightdesk, tmp_path: Path
) -> None:
    with receiving_in_thread() as receiver:
        serving = nightdesk.start("serve")
        assert serving.stderr is not None
        assert serving.stderr.readline().startswith("serving ")
        configure(nightdesk, f'webhook = "{receiver.url}"')
        until_sync(lambda: "reloaded" in (nightdesk.state / "diag.log").read_text())
        assert nightdesk("run", "lost", "--origin", "manual").code == 7
        until_sync(lambda: receiver.kinds == ["unconfirmed"])
        receiver.mode = ReplyMode.HANGS
        assert nightdesk("run", "rejected", "--origin", "manual").code == 6
        until_sync(lambda: len(receiver.bodies) == 2)
        before = time.monotonic()
        serving.send_signal(signal.SIGTERM)
        assert nightdesk.ended(serving).code == 0
        assert time.monotonic() - before < 30
