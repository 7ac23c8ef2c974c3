"""`metrics` prints or writes the metrics, and `serve --metrics` shows them over HTTP."""

from __future__ import annotations

import importlib.util
import urllib.request
from pathlib import Path

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("prometheus_client") is None, reason="prometheus-client is optional"
)
ENDED = 'nightdesk_runs_ended_total{outcome="ok",task="good"} 1.0'


def test_the_metrics_are_printed_or_replace_a_file_that_the_collector_can_read(
    nightdesk: Nightdesk, tmp_path: Path
) -> None:
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    done = nightdesk("metrics")
    assert done.code == 0
    assert ENDED in done.out
    assert 'nightdesk_cap_spent{cap="daily_runs"} 1.0' in done.out
    file = tmp_path / "nightdesk.prom"
    file.write_text("old", encoding="utf-8")
    assert nightdesk("metrics", "--textfile", str(file)).code == 0
    assert ENDED in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["nightdesk.prom"]


def test_what_cannot_be_done_is_said_in_one_line(nightdesk: Nightdesk) -> None:
    done = nightdesk("metrics", "--textfile", "/nowhere/x.prom")
    assert (done.code, done.err.count("\n")) == (2, 1)
    done = nightdesk("serve", "--metrics", "0.0.0.0:9402")
    assert done.code == 2
    assert "accepted: 127.0.0.1:PORT" in done.err


def test_serve_shows_the_metrics(nightdesk: Nightdesk) -> None:
    assert nightdesk("run", "good", "--origin", "manual").code == 0
    serving = nightdesk.start("serve", "--metrics", "127.0.0.1:0")
    assert serving.stderr is not None
    line = serving.stderr.readline()
    assert line.startswith("metrics at http://127.0.0.1:")
    url = line.split()[-1]

    until_sync(lambda: ENDED in _page(url))
    serving.terminate()
    assert nightdesk.ended(serving).code == 0


def _page(url: str) -> str:
    """The page; empty while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""
