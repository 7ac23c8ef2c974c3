"""What commands answer with `--json`: a run and what came of it, in the fields that every run has."""

from __future__ import annotations

from console.domain.guardrails import UNIT_CAPS, Refusal, Standing
from console.domain.moment import Moment, iso_ms
from console.domain.run import Run
from console.engine.run_json import Json, elapsed_ms, instant, run_json, tokens
from console.engine.snapshot import LaunchAnswer, RunDetail

__all__ = ["answer_json", "detail_json", "elapsed_ms", "instant", "run_json", "standing_json", "tokens"]


def answer_json(answer: LaunchAnswer, run: Run, now: Moment) -> Json:
    """What came of a launch: `run` (as it is now) with the answer beside it."""
    refusal = answer.refusal
    return {
        **run_json(run, now),
        "answer": answer.kind.value,
        "holder": answer.holder.id if answer.holder else None,
        "refusal": _refusal_json(refusal) if refusal else None,
        "differences": list(answer.differences),
    }


def _refusal_json(refusal: Refusal) -> Json:
    standing = standing_json(refusal.standing) if refusal.standing else None
    return {"kind": refusal.kind.value, "sentence": refusal.sentence, "cap": standing}


def standing_json(standing: Standing) -> Json:
    """How full one cap is; units and launches as numbers, null where there is no limit."""
    scale = 1000 if standing.cap in UNIT_CAPS else 1

    def number(value: int | None) -> int | float | None:
        return value if value is None or scale == 1 else value / scale

    return {
        "cap": standing.cap.value,
        "limit": number(standing.limit),
        "held": number(standing.held),
        "spent": number(standing.spent),
        "left": number(standing.left),
        "frees_at": instant(standing.frees_at_ms),
    }


def detail_json(detail: RunDetail, now: Moment) -> Json:
    """One run whole."""
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
        "timeline": [{"at": iso_ms(e.at_ms), "kind": e.kind, "text": e.text} for e in detail.timeline],
        "live_steps": [
            {"index": s.index, "kind": s.kind, "text": s.text, "at": iso_ms(s.at_ms), "done": s.done}
            for s in detail.steps
        ],
        "attempts": [{"run": a.id, "attempt": a.attempt, "outcome": a.outcome} for a in detail.attempts],
    }
