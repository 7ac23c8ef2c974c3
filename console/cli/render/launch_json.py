"""The JSON of runs, launches and caps that commands print with `--json`."""

from __future__ import annotations

from console.domain.caps import UNIT_CAPS, CapUsage, Refusal
from console.domain.run import Run
from console.domain.timestamps import Timestamp, iso_ms
from console.engine.models import LaunchResult, RunDetail
from console.engine.run_json import Json, elapsed_ms, instant, run_json, tokens

__all__ = ["answer_json", "cap_usage_json", "detail_json", "elapsed_ms", "instant", "run_json", "tokens"]


def answer_json(answer: LaunchResult, run: Run, now: Timestamp) -> Json:
    """Return `run` as it is now, with the answer to its launch beside it."""
    refusal = answer.refusal
    return {
        **run_json(run, now),
        "answer": answer.kind.value,
        "holder": answer.holder.id if answer.holder else None,
        "refusal": _refusal_json(refusal) if refusal else None,
        "differences": list(answer.differences),
    }


def _refusal_json(refusal: Refusal) -> Json:
    cap_usage = cap_usage_json(refusal.cap_usage) if refusal.cap_usage else None
    return {"kind": refusal.kind.value, "sentence": refusal.sentence, "cap": cap_usage}


def cap_usage_json(cap_usage: CapUsage) -> Json:
    """Return how full one cap is; units and launches as numbers, null for no limit."""
    scale = 1000 if cap_usage.cap in UNIT_CAPS else 1

    def number(value: int | None) -> int | float | None:
        return value if value is None or scale == 1 else value / scale

    return {
        "cap": cap_usage.cap.value,
        "limit": number(cap_usage.limit),
        "held": number(cap_usage.held),
        "spent": number(cap_usage.spent),
        "left": number(cap_usage.left),
        "frees_at": instant(cap_usage.frees_at_ms),
    }


def detail_json(detail: RunDetail, now: Timestamp) -> Json:
    """Return one run in full, with its timeline and its steps."""
    run = detail.run
    return {
        **run_json(run, now),
        "fingerprint": {"digest": run.fingerprint.digest, **run.fingerprint.as_fields()},
        "result": run.result,
        "stop": None
        if run.stop is None
        else {
            "reason": run.stop.reason.value,
            "by": run.stop.by,
            "at": iso_ms(run.stop.at_ms),
            "tries": run.stop.tries,
            "answer": run.stop.answer,
            "alarmed": run.stop.alarmed,
        },
        "changed_since": list(detail.changed_since),
        "timeline": [
            {"at": iso_ms(e.at_ms), "kind": e.kind, "text": e.text, "facts": dict(e.facts)} for e in detail.timeline
        ],
        "live_steps": [
            {"index": s.index, "kind": s.kind, "text": s.text, "at": iso_ms(s.at_ms), "done": s.done}
            for s in detail.steps
        ],
        "attempts": [{"run": a.id, "attempt": a.attempt, "outcome": a.outcome} for a in detail.attempts],
    }
