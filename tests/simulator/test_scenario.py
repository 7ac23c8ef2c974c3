"""A prompt selects its scenario exactly; a wrong name or value is refused with its name."""

from __future__ import annotations

from typing import Any

import pytest

from console.simulator.scenario import PRESETS, Ending, Scenario, from_json, from_prompt


def test_a_scenario_survives_its_prompt() -> None:
    scenario = Scenario(
        steps=3,
        step_seconds=0.25,
        ending=Ending.FAILED,
        text='über "alles"\n',
        faults={"create.lost_reply": 1, "get.503": {"skip": 2, "first": 3, "share": 0.5}, "zombie": True},
    )
    assert from_prompt(scenario.prompt("Write it."), Scenario()) == scenario


@pytest.mark.parametrize("faults", [["zombie"], ("zombie", "get.503"), frozenset({"zombie"})])
def test_faults_may_be_names_alone(faults: Any) -> None:
    read = from_prompt(Scenario(faults=faults).prompt(), Scenario())
    assert {fault.name for fault in read.parsed_faults} == set(faults)


def test_a_prompt_without_a_sim_line_selects_the_default() -> None:
    default = Scenario(steps=2)
    assert from_prompt("Write the report.\n#sim {}", default) is default


def test_a_sim_line_keeps_the_other_values_of_the_default() -> None:
    assert from_prompt('#sim {"steps": 4}', Scenario(steps=2, tokens_per_step=9)) == Scenario(
        steps=4, tokens_per_step=9
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_scaled_and_changed(name: str) -> None:
    """Only durations are scaled."""
    scaled = from_json({"preset": name, "scale": 0.01, "cached_share": 0.25})
    assert scaled.step_seconds == pytest.approx(PRESETS[name](1.0).step_seconds * 0.01)
    assert scaled.cached_share == 0.25
    assert scaled.ending is PRESETS[name](1.0).ending


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("#sim nonsense", "no JSON"),
        ("#sim [1]", "JSON object"),
        ('#sim {"stepz": 1}', "did you mean 'steps'"),
        ('#sim {"steps": "many"}', "int"),
        ('#sim {"steps": 0}', "at least 1"),
        ('#sim {"step_seconds": -1}', "must not be negative"),
        ('#sim {"jitter": 2}', "between 0 and 1"),
        ('#sim {"ending": "complete"}', "complete"),
        ('#sim {"ending": "never", "step_seconds": 0}', "above 0"),
        ('#sim {"preset": "best"}', "no preset"),
        ('#sim {"preset": "good", "scale": "x"}', "scale"),
        ('#sim {"faults": ["zombi"]}', "did you mean 'zombie'"),
        ('#sim {"faults": {"get.503": {"frist": 1}}}', "frist"),
    ],
)
def test_a_wrong_sim_line_is_refused_with_its_name(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_prompt(line, Scenario())
