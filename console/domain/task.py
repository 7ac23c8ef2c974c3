"""A task is a template: what to launch, for which target, under which guardrails. Never changed by a run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum, StrEnum

from console.domain.key import key_of
from console.domain.text import sanitize

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z", re.ASCII)
_MAX_SHOWN = 120
"""Characters of one value where a difference is named; a list of tools may be long."""


class Stage(IntEnum):
    """How far a task has come on the way to running alone. The order is the trust."""

    MANUAL = 0
    """Launched by a person; scheduled launches are refused."""
    SEMI = 1
    """A due launch becomes a proposal that a person decides."""
    UNATTENDED = 2
    """It runs."""

    @property
    def label(self) -> str:
        """`manual`, `semi`, `unattended`."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Stage:
        """The stage of that word. Raises ValueError naming the three."""
        for stage in cls:
            if stage.label == word:
                return stage
        raise ValueError(f"stage {word!r} is none of manual, semi, unattended")


class Origin(StrEnum):
    """Who wants the launch."""

    MANUAL = "manual"
    SCHEDULE = "schedule"


class CutOff(StrEnum):
    """When the budget stops a run."""

    REACHED = "reached"
    """Used units reach the cap."""
    BEFORE = "before"
    """Used units plus the largest step so far would pass the cap."""


class MissedPolicy(StrEnum):
    """What becomes of scheduled instants that passed while nobody scheduled."""

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """The limits of one launch."""

    max_ms: int
    """Wall-clock limit in milliseconds, judged from outside the agent."""
    budget: int
    """Milli-units held before the launch and enforced while it runs."""
    cut_off: CutOff = CutOff.REACHED
    stall_ms: int = 300_000
    """Milliseconds without a new step until the run is flagged."""
    max_attempts: int = 1
    """Attempts of one key that an unattended task may make by itself."""
    retry_on: tuple[str, ...] = ("failed",)
    daily_units: int | None = None
    """Milli-units of this task per caps day; None is unlimited (only the caps of all tasks apply)."""
    daily_runs: int | None = None
    """Launches of this task per caps day; None is unlimited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One `[[tasks]]` entry with the defaults already applied."""

    name: str
    type: str = "task"
    target: str
    prompt: str = field(repr=False)
    agent: str
    model: str
    sandbox: str = "own"
    """`own`: made before the launch; `remote`: made by it; anything else: an environment id to reuse."""
    tools: tuple[str, ...] = ()
    """Canonical JSON of each tool entry sent; empty is the agent's own default set."""
    network: str | None = None
    """Canonical JSON of the sandbox's network setting; None is the service's default."""
    system_instruction: str | None = field(default=None, repr=False)
    guardrails: Guardrails
    schedule: str | None = None
    """Cron expression read in `time_zone`; None: launched by hand or by a foreign scheduler."""
    time_zone: str = "UTC"
    window: str = "day"
    """`day` or `slot`: what the key's date stands for."""
    missed: MissedPolicy = MissedPolicy.SKIP

    def key(self, date_text: str) -> str:
        """The idempotency key for `date_text`."""
        return key_of(self.type, self.target, date_text)


def canonical_json(value: object) -> str:
    """One text for one value: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is launched, field by field, so that a difference can be named; the prompt as hash and length only."""

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
    """Empty where there is no system instruction."""

    @classmethod
    def of(cls, task: Task) -> Fingerprint:
        """The fingerprint of a launch of `task` now."""
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
        )

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the fields, 64 hex digits."""
        return _sha256(canonical_json(self.as_fields()))

    def as_fields(self) -> dict[str, str | int]:
        """The fields by name, in their fixed order."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_fields(cls, stored: Mapping[str, str | int]) -> Fingerprint:
        """What `as_fields` gave. Raises TypeError for missing or unknown fields."""
        return cls(**stored)  # type: ignore[arg-type]  # the dataclass refuses wrong names itself

    def differences(self, other: Fingerprint) -> tuple[str, ...]:
        """One cleaned phrase per field that differs, `model: a -> b`; prompts are told by length and hash only."""
        mine, theirs = self.as_fields(), other.as_fields()
        return tuple(
            f"{name}: {_short(mine[name])} -> {_short(theirs[name])}" for name in mine if mine[name] != theirs[name]
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _short(value: str | int) -> str:
    text = str(value) or "none"
    return text[:12] + "…" if re.fullmatch(r"[0-9a-f]{64}", text) else sanitize(text, limit=_MAX_SHOWN)
