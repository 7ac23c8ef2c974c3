"""Tasks: templates that say what to launch, for which target and under which guardrails."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum, StrEnum

from console.domain.text import sanitize

DEFAULT_PROVIDER = "default"
"""The name of the provider in a config that has one only."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z", re.ASCII)
_MAX_SHOWN = 120
"""Characters shown of one value in a difference; a list of tools may be long."""


class Stage(IntEnum):
    """How much autonomy a task has, from least to most."""

    MANUAL = 0
    """Only launches by hand; scheduled launches are refused."""
    SEMI = 1
    """A scheduled launch becomes a proposal that a person approves or declines."""
    UNATTENDED = 2
    """Scheduled launches run without approval."""

    @property
    def label(self) -> str:
        """The stage in words: `manual`, `semi` or `unattended`."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Stage:
        """Return the stage with that label. Raises ValueError, which names the three labels."""
        for stage in cls:
            if stage.label == word:
                return stage
        raise ValueError(f"stage {word!r} is none of manual, semi, unattended")


class Origin(StrEnum):
    """What asked for a launch."""

    MANUAL = "manual"
    SCHEDULE = "schedule"


class CutOff(StrEnum):
    """When the budget stops a run."""

    REACHED = "reached"
    """When used units reach the budget."""
    BEFORE = "before"
    """When used units plus the largest step so far would exceed the budget."""


class MissedPolicy(StrEnum):
    """What happens to scheduled times that passed while no scheduler was running."""

    SKIP = "skip"
    """None of them is launched."""
    LATEST = "latest"
    """Only the latest is launched."""
    ALL = "all"
    """Each of them is launched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """The limits that apply to each launch of a task."""

    max_ms: int
    """Wall-clock limit in milliseconds, enforced outside the agent."""
    budget: int
    """Milli-units that are held before the launch and enforced during the run."""
    cut_off: CutOff = CutOff.REACHED
    stall_ms: int = 300_000
    """Milliseconds without a new step after which the run is shown as stalled."""
    max_attempts: int = 1
    """Attempts per key that an unattended task may make without a person."""
    retry_on: tuple[str, ...] = ("failed",)
    """Outcomes after which it tries again."""
    daily_units: int | None = None
    """Milli-units of this task per day; None means that only the caps over all tasks apply."""
    daily_runs: int | None = None
    """Launches of this task per day; None means that only the caps over all tasks apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One `[[tasks]]` entry of the config file with the defaults applied."""

    name: str
    type: str = "task"
    target: str
    prompt: str = field(repr=False)
    provider: str = DEFAULT_PROVIDER
    """Name of the provider in the config."""
    agent: str
    """Id of the agent; `ID@VERSION` where one version was chosen."""
    model: str
    environment: str = ""
    """Id of the template, or size, of the environment; empty for services that have no such setting."""
    sandbox: str = "own"
    """`own`: a sandbox made before the launch; `remote`: one made by the launch; otherwise the id of one to reuse."""
    tools: tuple[str, ...] = ()
    """Canonical JSON of each tool entry to send; empty means the agent's default tools."""
    network: str | None = None
    """Canonical JSON of the sandbox's network setting; None means the service's default."""
    system_instruction: str | None = field(default=None, repr=False)
    guardrails: Guardrails
    schedule: str | None = None
    """Cron expression, evaluated in `time_zone`; None for a task launched by hand or by another scheduler."""
    time_zone: str = "UTC"
    window: str = "day"
    """`day` for one key per day, or `slot` for one key per scheduled time."""
    missed: MissedPolicy = MissedPolicy.SKIP

    def with_target(self, target: str | None) -> Task:
        """Return this task for another target, where one is given."""
        return self if target is None else replace(self, target=target)


def canonical_json(value: object) -> str:
    """Return the one canonical text for a JSON value: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a launch consists of, field by field, so that differences can be named.

    Prompt and system instruction are present only as hashes (and the length of the prompt).
    """

    agent: str
    model: str
    prompt_sha256: str
    prompt_length: int
    """Characters."""
    sandbox: str
    tools: str
    """Canonical JSON of the list of tools."""
    network: str
    system_sha256: str
    """Empty if there is no system instruction."""
    provider: str = DEFAULT_PROVIDER
    environment: str = ""

    @classmethod
    def of(cls, task: Task) -> Fingerprint:
        """Return the fingerprint of a launch of `task` with its current settings."""
        system = task.system_instruction
        return cls(
            agent=task.agent,
            model=task.model,
            prompt_sha256=_sha256(task.prompt),
            prompt_length=len(task.prompt),
            sandbox=task.sandbox,
            tools=canonical_json([json.loads(tool) for tool in task.tools]),
            network=task.network or "",
            system_sha256=_sha256(system) if system is not None else "",
            provider=task.provider,
            environment=task.environment,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the fields, as 64 hex digits."""
        return _sha256(canonical_json(self.as_fields()))

    def as_fields(self) -> dict[str, str | int]:
        """Return the fields by name, in a fixed order; a field with a default only if it has another value.

        So the digest of a launch is the same as in versions that did not have the field.
        """
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}

    @classmethod
    def from_fields(cls, stored: Mapping[str, str | int]) -> Fingerprint:
        """Rebuild a fingerprint from what `as_fields` returned. Raises TypeError for missing or unknown fields."""
        return cls(**stored)  # type: ignore[arg-type]  # the constructor rejects wrong field names

    def differences(self, other: Fingerprint) -> tuple[str, ...]:
        """Return one sanitized phrase per field that differs: `model: a -> b`. Hashes are shortened to 12 digits."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return tuple(f"{name}: {_short(mine)} -> {_short(theirs)}" for name, mine, theirs in pairs if mine != theirs)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _short(value: str | int) -> str:
    text = str(value) or "none"
    return text[:12] + "…" if re.fullmatch(r"[0-9a-f]{64}", text) else sanitize(text, limit=_MAX_SHOWN)
