"""The report of a live drill, which can be shown to anybody: it has no key, no prompt and no id of the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from console.domain.usage import money_text, units_text
from console.provider.http.observation import ObservedCall

VERSION = 1
"""Of the form of the report."""


class Verdict(StrEnum):
    """What one check showed."""

    HELD = "held"
    DIFFERS = "differs"
    """The guard held, but the service did not do what this program assumes."""
    FAILED = "FAILED"
    NOT_KNOWN = "not known"
    """It could not be tried, or the service did not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCount:
    """How often one form of call was answered with one status."""

    form: str
    status: int | None
    """None: no reply."""
    count: int


def count_calls(calls: Iterable[ObservedCall]) -> tuple[CallCount, ...]:
    """Return the forms and statuses in the order of their first use."""
    counted = Counter((call.form, call.status) for call in calls)
    return tuple(CallCount(form=form, status=status, count=count) for (form, status), count in counted.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check saw, and what it means."""

    text: str
    """One sanitized line."""
    verdict: Verdict = Verdict.HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFinding:
    """The result of one check."""

    check: str
    assumed: str
    """What this program assumes of the service, or promises."""
    seen: str
    verdict: Verdict
    seconds: float
    calls: tuple[CallCount, ...] = ()
    """The calls that were made meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """What one run used."""

    run: str
    """Which of the runs of the drill."""
    outcome: str
    status: str
    """The last status word of the service, sanitized."""
    seconds: float
    milliunits: int
    tokens: dict[str, int]
    """The figures of the service by name."""
    cost_micro: int | None
    """By the price table of the config; None without a price."""
    told_micro: int | None
    """Money that the service itself told."""

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON values."""
        return {
            "run": self.run,
            "outcome": self.outcome,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            "units": units_text(self.milliunits),
            "tokens": self.tokens,
            "cost": None if self.cost_micro is None else money_text(self.cost_micro),
            "told_cost": None if self.told_micro is None else money_text(self.told_micro),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A run of which no end could be shown."""

    run_id: str
    """Of this program."""
    why: str
    """One sanitized line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveReport:
    """Everything that a live drill found."""

    program: str
    """The version of this program."""
    began: str
    """UTC time."""
    kind: str
    host: str
    agent: str
    model: str
    max_units: int
    findings: tuple[LiveFinding, ...]
    runs: tuple[RunFigures, ...]
    currency: str | None
    left: tuple[Left, ...]
    """Runs that may still work."""
    interrupted: bool = False
    found: int = 0
    """Runs that an earlier drill had left and that were stopped first."""
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """True if no guard failed, all checks were made and nothing is left."""
        failed = any(finding.verdict is Verdict.FAILED for finding in self.findings)
        return not failed and not self.left and not self.interrupted

    @property
    def differences(self) -> tuple[str, ...]:
        """What the service did differently from what this program assumes, one line each."""
        return tuple(
            f"{finding.check}: assumed: {finding.assumed}; seen: {finding.seen}"
            for finding in self.findings
            if finding.verdict is Verdict.DIFFERS
        )

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON values."""
        return {
            "report": VERSION,
            "passed": self.passed,
            "program": self.program,
            "began": self.began,
            "interrupted": self.interrupted,
            "service": {"kind": self.kind, "host": self.host, "agent": self.agent, "model": self.model},
            "max_units": self.max_units,
            "differences": list(self.differences),
            "findings": [
                {
                    "check": finding.check,
                    "verdict": finding.verdict.value,
                    "assumed": finding.assumed,
                    "seen": finding.seen,
                    "seconds": round(finding.seconds, 1),
                    "calls": [
                        {"call": call.form, "status": call.status, "count": call.count} for call in finding.calls
                    ],
                }
                for finding in self.findings
            ],
            "runs": [run.to_json() for run in self.runs],
            "currency": self.currency,
            "stopped_of_an_earlier_drill": self.found,
            "left": [{"run": left.run_id, "why": left.why} for left in self.left],
            "notes": list(self.notes),
        }
