"""Real processes send the runs that ended as spans: a lone `run`, and `serve` for a run whose process was killed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from typing import Any

import pytest

from console.tracing.receiver import MISSING
from tests.cli.nightdesk import CAPS, Nightdesk
from tests.notify.receiver import Receiver, ReplyMode, receiving_in_thread
from tests.tracing.decoding import NEEDS_OTEL, ArrivedSpan, decoded
from tests.waiting import until_sync

LOADED = """
import sys
from console.cli.main import entry
code = entry(sys.argv[1:])
sys.stdout.write("\\n" + "\\n".join(sys.modules))
sys.exit(code)
"""


def configure(nightdesk: Nightdesk, receiver: Receiver) -> None:
    nightdesk.configure(f'{CAPS}[otel]\nendpoint = "http://127.0.0.1:{receiver.port}"\n')


def agents(receiver: Receiver) -> list[ArrivedSpan]:
    return [span for body in receiver.bodies for span in body if span.parent == ""]


@NEEDS_OTEL
def test_a_lone_run_is_sent_before_its_process_ends(nightdesk: Nightdesk) -> None:
    nightdesk.environment["OTEL_EXPORTER_OTLP_HEADERS"] = "x-key=canary-header"
    with receiving_in_thread(decode=decoded) as receiver:
        configure(nightdesk, receiver)
        for task, code in (("good", 0), ("timed", 3), ("rejected", 6)):
            assert nightdesk("run", task, "--origin", "manual").code == code
        told = [(each.attributes["nightdesk.task"], each.error) for each in agents(receiver)]
        assert told == [("good", ""), ("timed", "timeout"), ("rejected", "rejected")]
        assert "nightdesk.stop" in [name for name, _ in agents(receiver)[1].events]
        assert "canary" not in str(receiver.bodies)
        assert "x-key: canary-header" in receiver.heads[0].lower()
        done = nightdesk("doctor")
        assert f"runs that end are sent as spans to 127.0.0.1:{receiver.port}" in done.out
        assert "canary" not in done.out + (nightdesk.state / "otel.json").read_text()


@NEEDS_OTEL
def test_a_receiver_that_hangs_changes_no_exit_code_and_loses_nothing(nightdesk: Nightdesk) -> None:
    with receiving_in_thread(ReplyMode.HANGS, decode=decoded) as receiver:
        configure(nightdesk, receiver)
        before = time.monotonic()
        assert nightdesk("run", "failing", "--origin", "manual").code == 1
        assert time.monotonic() - before < 30
        receiver.mode = ReplyMode.TAKES
        assert nightdesk("run", "good", "--origin", "manual").code == 0
        assert [each.error for each in agents(receiver)] == ["failed", "failed", ""]
        assert len({each.span for each in agents(receiver)}) == 2


@NEEDS_OTEL
@pytest.mark.proofs
def test_a_run_whose_process_was_killed_is_sent_by_the_one_that_took_it_over(nightdesk: Nightdesk) -> None:
    with receiving_in_thread(decode=decoded) as receiver:
        configure(nightdesk, receiver)
        launching = nightdesk.start("run", "limited", "--origin", "manual")
        until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["running"], what="a live run")
        launching.kill()
        launching.wait()
        serving = nightdesk.start("serve")
        until_sync(lambda: agents(receiver), what="the span")
        serving.terminate()
        assert nightdesk.ended(serving).code == 0
        (whole,) = agents(receiver)
        assert whole.error == "timeout"
        assert 8_000 <= whole.end_ms - whole.begin_ms < 30_000, "from its launch by the process that is gone"
        assert {"nightdesk.taken_over", "nightdesk.stop"} <= {name for name, _ in whole.events}


def test_without_the_extra_one_line_says_what_to_install(nightdesk: Nightdesk, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> Any:
        return None if name.startswith("opentelemetry") else find(name, package)

    with receiving_in_thread(decode=decoded) as receiver:
        configure(nightdesk, receiver)
        monkeypatch.setattr(importlib.util, "find_spec", found)
        assert nightdesk("run", "good", "--origin", "manual").code == 0
        assert MISSING in nightdesk("doctor").out
        assert receiver.bodies == []


def test_a_process_loads_nothing_of_it_unless_the_config_asks_for_it(nightdesk: Nightdesk) -> None:
    arguments = ["--state-dir", str(nightdesk.state), "run", "good", "--origin", "manual"]
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = done.stdout.splitlines()
    assert "console.engine.engine" in loaded
    heads = ("opentelemetry", "google.protobuf", "console.tracing", "console.notify")
    assert [name for name in loaded if name.startswith(heads)] == []
