"""`report` prints a period on one page."""

from __future__ import annotations

import pytest

from tests.cli.nightdesk import Nightdesk


@pytest.mark.parametrize(("option", "days"), [((), 7), (("--day",), 1), (("--week",), 7), (("--month",), 30)])
def test_each_period_has_its_days(nightdesk: Nightdesk, option: tuple[str, ...], days: int) -> None:
    assert nightdesk.launch("good").code == 0
    found = nightdesk("report", *option, "--json").json
    assert found["days"] == days
    assert found["today"]["runs"] == 1
    assert found["total"]["runs"] == 0
    assert found["month"]["units"]["so_far"] > 0
    done = nightdesk("report", *option)
    assert done.code == 0
    assert "today so far: 1 run, " in done.out
    assert "cost unknown" in done.out
    assert f"{days} day" in done.out
    assert "0 runs, 0 units, no cost" in done.out
    assert "the guards had nothing to stop" in done.out
