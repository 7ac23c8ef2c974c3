"""`--json` output has stable names, numbers that are numbers or null, and UTC times."""

from __future__ import annotations

import json

from console.cli.render.launch_json import answer_json, detail_json, run_json
from console.domain.caps import Refusal, RefusalKind
from console.domain.run import Outcome, State, StepRecord, StopReason
from console.domain.usage import Usage
from console.engine.models import LaunchKind, LaunchResult, RunDetail, TimelineEvent
from tests.cli.runs import NOW, START_MS, ended, history_entry, run, stopping

PROMISED = [
    "run",
    "key",
    "task",
    "target",
    "date",
    "attempt",
    "stage",
    "origin",
    "state",
    "outcome",
    "reason",
    "units",
    "tokens",
    "cost",
    "currency",
    "elapsed",
    "started_at",
    "deadline_at",
    "ended_at",
    "remote_id",
]


def test_a_live_run() -> None:
    shown = run_json(run(), NOW)

    assert list(shown)[: len(PROMISED)] == PROMISED
    assert {name: shown[name] for name in PROMISED} == {
        "run": "01kb00000000000000000000aa",
        "key": "9f2c51ab03de7714",
        "task": "report",
        "target": "acme/site",
        "date": "2026-11-23",
        "attempt": 1,
        "stage": "manual",
        "origin": "manual",
        "state": "running",
        "outcome": None,
        "reason": None,
        "units": 38.2,
        "tokens": 381_224,
        "cost": None,
        "currency": None,
        "elapsed": 65.5,
        "started_at": "2026-11-23T03:00:00.000Z",
        "deadline_at": "2026-11-23T03:10:00.000Z",
        "ended_at": None,
        "remote_id": "v1_abc",
    }


def test_an_ended_run_has_its_time_and_cost() -> None:
    shown = run_json(ended(Outcome.OK, cost_micro=910_000, currency="USD"), NOW)

    assert (shown["state"], shown["outcome"]) == ("ended", "ok")
    assert (shown["elapsed"], shown["ended_at"]) == (412.3, "2026-11-23T03:06:52.300Z")
    assert (shown["cost"], shown["currency"]) == (0.91, "USD")


def test_the_reason_is_that_of_the_stop() -> None:
    assert run_json(stopping(StopReason.KILL_SWITCH), NOW)["reason"] == "kill_switch"


def test_unknown_figures_are_null_and_not_zero() -> None:
    unknown = run(usage=Usage(), used=0, usage_known=False)

    assert run_json(unknown, NOW)["tokens"] is None
    assert run_json(unknown, NOW)["units"] == 0


def test_a_skip_used_nothing() -> None:
    shown = run_json(history_entry(Outcome.SKIPPED, "done as run 01k"), NOW)

    assert (shown["outcome"], shown["attempt"], shown["units"], shown["tokens"]) == ("skipped", 0, 0, 0)
    assert (shown["elapsed"], shown["started_at"], shown["remote_id"]) == (0, None, None)


def test_an_answer_names_the_holder_and_the_refusal() -> None:
    entry = history_entry(Outcome.REFUSED, "refused")
    answer = LaunchResult(
        kind=LaunchKind.REFUSED,
        run=entry,
        holder=run(),
        refusal=Refusal(kind=RefusalKind.FINGERPRINT, sentence="the task was edited"),
        differences=("model: a -> b",),
    )

    shown = answer_json(answer, entry, NOW)

    assert (shown["answer"], shown["holder"]) == ("refused", run().id)
    assert shown["refusal"] == {"kind": "fingerprint", "sentence": "the task was edited", "cap": None}
    assert shown["differences"] == ["model: a -> b"]


def test_a_whole_run_holds_timeline_steps_and_attempts() -> None:
    detail = RunDetail(
        run=stopping(),
        timeline=(TimelineEvent(at_ms=START_MS, kind="claimed", text="by ada"),),
        steps=(StepRecord(index=0, kind="thought", text="hm", at_ms=START_MS, units=5, done=True),),
        attempts=(run(),),
    )

    shown = detail_json(detail, NOW)

    assert shown["timeline"] == [{"at": "2026-11-23T03:00:00.000Z", "kind": "claimed", "text": "by ada", "facts": {}}]
    assert shown["attempts"] == [{"run": run().id, "attempt": 1, "outcome": None}]
    assert "Write it." not in json.dumps(shown), "only hash and length of the prompt are stored"


def test_every_state_can_be_shown() -> None:
    for state in State:
        json.dumps(run_json(run(state=state), NOW), allow_nan=False)
