"""By what a fleet judges launches: caps, units, rollout rules and schedules, which are the same on all of its hosts.

Values are compared and stored as the texts that the config would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from console.domain.caps import Caps, Refusal, RefusalKind
from console.domain.rollout import RolloutRules
from console.domain.task import Task, canonical_json
from console.domain.usage import Units, decimal

SCHEDULES = "schedules"
"""The key under which the digest of the schedules stands."""
UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDifference:
    """A key whose value on this host is not that of the fleet."""

    key: str
    here: str
    fleet: str

    @property
    def sentence(self) -> str:
        """Both values, in one clause."""
        verb = "are" if self.key == SCHEDULES else "is"
        return f"{self.key} {verb} {self.here} here and {self.fleet} in the fleet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What launches are judged by."""

    values: Mapping[str, str]
    """By key, in the order in which they are shown."""

    def differences(self, fleet: Policy) -> tuple[PolicyDifference, ...]:
        """Return the keys whose values differ from those of `fleet`. One that only another version knows is none."""
        return tuple(
            PolicyDifference(key=key, here=here, fleet=fleet.values[key])
            for key, here in self.values.items()
            if fleet.values.get(key, here) != here
        )


def policy_of(caps: Caps, units: Units, rollout: RolloutRules, tasks: Iterable[Task]) -> Policy:
    """Return what a config judges launches by."""
    return Policy(
        values={
            "daily_units": _units(caps.daily_units),
            "monthly_units": _units(caps.monthly_units),
            "daily_runs": _count(caps.daily_runs),
            "concurrent_runs": _count(caps.concurrent_runs),
            "time_zone": caps.time_zone,
            "tokens_per_unit": str(units.tokens_per_unit),
            "cached_weight": _plain(units.cached_weight_milli),
            "manual_clean_runs": str(rollout.manual_clean_runs),
            "semi_clean_runs": str(rollout.semi_clean_runs),
            "demote_on": ", ".join(sorted(rollout.demote_on)) or "nothing",
            "approval_seconds": _plain(rollout.approval_ms),
            SCHEDULES: _schedules(tasks),
        }
    )


def policy_refusal(here: Policy, fleet: Policy, *, scheduled: bool) -> Refusal | None:
    """Return why a launch is refused on a host with the policy `here`; None where it is judged as in the fleet.

    Schedules concern launches on schedule only.
    """
    found = [each for each in here.differences(fleet) if scheduled or each.key != SCHEDULES]
    if not found:
        return None
    more = f", and {len(found) - 1} more differ" if len(found) > 1 else ""
    return Refusal(kind=RefusalKind.POLICY, sentence=f"{found[0].sentence}{more}; nightdesk store policy shows both")


def _units(milliunits: int | None) -> str:
    return UNLIMITED if milliunits is None else _plain(milliunits)


def _plain(thousandths: int) -> str:
    return decimal(thousandths, 3, least=0).removesuffix(".")


def _count(number: int | None) -> str:
    return UNLIMITED if number is None else str(number)


def _schedules(tasks: Iterable[Task]) -> str:
    """Return the number of schedules and a digest of all that decides which key becomes due when."""
    found = sorted(
        [task.name, task.type, task.target, task.schedule, task.time_zone, task.window, task.missed.value]
        for task in tasks
        if task.schedule is not None
    )
    if not found:
        return "none"
    digest = hashlib.sha256(canonical_json(found).encode("ascii")).hexdigest()[:12]
    return f"{len(found)} ({digest})"
