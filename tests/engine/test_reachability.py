"""The provider counts as offline when no poll of any run was answered for some seconds."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from console.domain.timestamps import Timestamp
from console.engine.problems import Problems
from console.engine.reachability import OFFLINE, Reachability

BERLIN = ZoneInfo("Europe/Berlin")
START_MS = 1_795_404_000_000
"""2026-11-23 04:20:00 in Berlin."""


def at(seconds: float) -> Timestamp:
    return Timestamp(wall_ms=START_MS + round(seconds * 1000), boot_ms=round(seconds * 1000), boot_id="b")


class Watched:
    """A reachability with its problems."""

    def __init__(self) -> None:
        self.now = at(0)
        self.problems = Problems(lambda: self.now.wall_ms)
        self.reachability = Reachability(self.problems, after_ms=10_000, zone=lambda: BERLIN)

    def fail(self, seconds: float) -> None:
        self.now = at(seconds)
        self.reachability.failed("no connection: ConnectError", self.now)

    @property
    def text(self) -> str | None:
        return next((each.text for each in self.problems.entries() if each.topic == OFFLINE), None)


def test_a_poll_that_fails_once_says_nothing_and_lasting_silence_says_since_when_and_how_many_runs() -> None:
    watched = Watched()
    with watched.reachability.following(), watched.reachability.following():
        watched.fail(0)
        watched.fail(9.9)
        assert watched.text is None
        watched.fail(10)
        assert watched.text == (
            "no answer since 04:20:00 from the provider (no connection: ConnectError); "
            "2 runs are supervised without seeing what happens, their limits hold"
        )


def test_one_answer_ends_it_and_the_next_silence_counts_from_then() -> None:
    watched = Watched()
    with watched.reachability.following():
        watched.fail(0)
        watched.fail(20)
        assert watched.text is not None
        watched.reachability.answered()
        assert watched.text is None
        watched.fail(21)
        watched.fail(30)
        assert watched.text is None


def test_it_lasts_however_long_the_polls_are_apart() -> None:
    watched = Watched()
    with watched.reachability.following():
        watched.fail(0)
        watched.fail(300)
        watched.now = at(590)
        assert watched.text is not None


def test_where_no_run_is_left_nothing_is_claimed() -> None:
    watched = Watched()
    with watched.reachability.following():
        watched.fail(0)
        watched.fail(20)
    assert watched.text is None
