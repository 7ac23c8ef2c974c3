"""A refusal names the cap, its usage and when it frees; a raise is temporary, needs a reason and is logged."""

from __future__ import annotations

import pytest

from tests.cli.nightdesk import CAPS, Nightdesk

TIGHT = CAPS.replace("daily_units = 2000", "daily_units = 60") + 'time_zone = "Europe/Berlin"\n'


def test_a_refusal_names_cap_usage_and_time_as_text_and_json(nightdesk: Nightdesk) -> None:
    nightdesk.configure(TIGHT)
    assert nightdesk.launch("endless", "--no-wait").code == 0
    refused = nightdesk.launch("good")
    assert refused.code == 6
    assert "daily_units is reached: 50.0 held + 0.0 spent of 60.0, 10.0 left, 50.0 needed; frees at " in refused.err
    assert refused.err.rstrip().endswith((" 00:00 CET", " 00:00 CEST"))
    cap = refused.json["refusal"]["cap"]
    frees_at = cap.pop("frees_at")
    assert cap == {"cap": "daily_units", "limit": 60, "held": 50, "spent": 0, "left": 10}
    assert frees_at.endswith(("23:00:00.000Z", "22:00:00.000Z"))
    assert nightdesk.service.started() == 1

    raised = nightdesk("caps", "raise", "daily_units", "40", "--reason", "the release is tonight")
    assert raised.code == 0
    assert nightdesk.launch("good").code == 0
    (told,) = [line for line in (nightdesk.state / "runs.log").read_text().splitlines() if "event=raise" in line]
    assert "cap=daily_units" in told
    assert "amount=40.0" in told
    assert nightdesk("cancel", "--all").code == 0


@pytest.mark.parametrize("name", ["daily_units", "monthly_units", "daily_runs", "concurrent_runs"])
def test_a_missing_cap_is_an_error_that_names_it(nightdesk: Nightdesk, name: str) -> None:
    nightdesk.configure("".join(line for line in CAPS.splitlines(keepends=True) if not line.startswith(name)))
    done = nightdesk.launch("good")
    assert (done.code, name in done.err, "unlimited" in done.err) == (2, True, True), done.err
    assert nightdesk.service.started() == 0


def test_unlimited_caps_are_shown_as_unlimited(nightdesk: Nightdesk) -> None:
    nightdesk.configure(CAPS.replace("daily_runs = 100", 'daily_runs = "unlimited"'))
    (cap,) = [each for each in nightdesk("caps", "--json").json if each["cap"] == "daily_runs"]
    assert (cap["limit"], cap["left"]) == (None, None)
    assert "of unlimited" in nightdesk("caps").out
