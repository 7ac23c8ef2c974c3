"""A fingerprint names every difference and shows neither prompt nor system instruction."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.task import NAME, Fingerprint, Guardrails, Task, canonical_json
from console.domain.text import is_sanitized

TASK = Task(
    name="nightly-report",
    type="report",
    target="acme/site",
    prompt="Summarise the canary.",
    agent="antigravity",
    model="flash",
    guardrails=Guardrails(max_ms=600_000, budget=50_000),
)


@pytest.mark.parametrize(
    ("changed", "phrases"),
    [
        (replace(TASK, agent="other"), ("agent: antigravity -> other",)),
        (replace(TASK, model="pro"), ("model: flash -> pro",)),
        (replace(TASK, sandbox="remote"), ("sandbox: own -> remote",)),
        (replace(TASK, tools=('{"type":"x"}',)), ('tools: [] -> [{"type":"x"}]',)),
        (replace(TASK, network='"disabled"'), ('network: none -> "disabled"',)),
        (replace(TASK, model="pro", agent="other"), ("agent: antigravity -> other", "model: flash -> pro")),
        (replace(TASK, name="x", target="y", type="z", schedule="* * * * *"), ()),
        (replace(TASK, guardrails=Guardrails(max_ms=1, budget=1)), ()),
    ],
)
def test_each_difference_is_named(changed: Task, phrases: tuple[str, ...]) -> None:
    before, after = Fingerprint.of(TASK), Fingerprint.of(changed)
    assert before.differences(after) == phrases
    assert (before.digest == after.digest) == (not phrases)


def test_prompts_appear_only_as_hash_and_length() -> None:
    changed = replace(TASK, prompt="Delete the canary!", system_instruction="Be the canary.")
    phrases = Fingerprint.of(TASK).differences(Fingerprint.of(changed))
    prompt_hash = hashlib.sha256(b"Delete the canary!").hexdigest()
    system_hash = hashlib.sha256(b"Be the canary.").hexdigest()
    assert [phrase.partition(":")[0] for phrase in phrases] == ["prompt_sha256", "prompt_length", "system_sha256"]
    assert phrases[0].endswith(f"-> {prompt_hash[:12]}…")
    assert phrases[1] == "prompt_length: 21 -> 18"
    assert phrases[2] == f"system_sha256: none -> {system_hash[:12]}…"
    assert "canary" not in repr(changed) + " ".join(phrases) + canonical_json(Fingerprint.of(changed).as_fields())


def test_no_instruction_differs_from_an_empty_one() -> None:
    none, empty = Fingerprint.of(TASK), Fingerprint.of(replace(TASK, system_instruction=""))
    assert none.digest != empty.digest


def test_the_digest_is_sha256_of_canonical_json() -> None:
    fingerprint = Fingerprint.of(TASK)
    text = json.dumps(fingerprint.as_fields(), sort_keys=True, separators=(",", ":"))
    assert fingerprint.digest == hashlib.sha256(text.encode("ascii")).hexdigest()


def test_the_spelling_of_a_tool_is_no_difference() -> None:
    one = Fingerprint.of(replace(TASK, tools=('{"a": 1, "b": 2}',)))
    other = Fingerprint.of(replace(TASK, tools=('{"b":2,"a":1}',)))
    assert one.digest == other.digest


@given(st.text(), st.text(), st.text(max_size=300))
def test_a_fingerprint_of_any_text_round_trips_and_shows_sanitized(prompt: str, system: str, model: str) -> None:
    fingerprint = Fingerprint.of(replace(TASK, prompt=prompt, system_instruction=system, model=model))
    stored = json.loads(canonical_json(fingerprint.as_fields()))
    assert Fingerprint.from_fields(stored) == fingerprint
    for phrase in Fingerprint.of(TASK).differences(fingerprint):
        assert is_sanitized(phrase)
        assert len(phrase) < 300


def test_stored_fields_that_are_missing_or_unknown_are_refused() -> None:
    stored = Fingerprint.of(TASK).as_fields()
    with pytest.raises(TypeError):
        Fingerprint.from_fields({**stored, "colour": "red"})
    del stored["agent"]
    with pytest.raises(TypeError):
        Fingerprint.from_fields(stored)


def test_canonical_json_has_one_text_for_one_value() -> None:
    assert canonical_json({"b": [1, None], "a": "ü\u202e"}) == '{"a":"\\u00fc\\u202e","b":[1,null]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "a\n", "x" * 65, "a:b", "[/]"])
def test_what_is_not_a_name(name: str) -> None:
    assert not NAME.match(name)
