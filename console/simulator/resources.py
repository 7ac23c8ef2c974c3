"""Sandboxes and saved agents: what a create may name, and what it may not name any more."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from console.simulator.gemini.bodies import ApiError, utc
from console.simulator.gemini.validation import AGENTS, RunRequest

KEPT_S = 7 * 86_400.0
"""A sandbox is gone so long after its last use."""
DEFAULT_MODEL = "gemini-3.8-flash"
_AGENT_FIELDS = frozenset(
    {"id", "base_agent", "agent_config", "system_instruction", "tools", "base_environment", "description"}
)


@dataclass(slots=True, kw_only=True)
class Environment:
    """One sandbox."""

    id: str
    settings: Mapping[str, object]
    """`sources` and `network` as they were given."""
    created_s: float
    created_wall_s: float
    accessed_s: float

    def touch(self, now_s: float) -> Environment:
        """Used now; returns itself."""
        self.accessed_s = now_s
        return self

    def to_json(self) -> dict[str, object]:
        """As the service shows it; sizes are strings, as proto JSON writes an int64."""
        accessed = utc(self.created_wall_s + self.accessed_s - self.created_s)
        shown: dict[str, object] = {
            "id": self.id,
            "status": "active",
            "created": utc(self.created_wall_s),
            "updated": accessed,
            "last_accessed": accessed,
            "file_count": "12",
            "size_bytes": "3456",
        }
        return shown | {name: self.settings[name] for name in ("network", "sources") if name in self.settings}


class Environments:
    """All sandboxes of one world. Its owner holds the world's lock."""

    def __init__(self, *, seed: int) -> None:
        self._random = random.Random(f"{seed}/environments")
        self._all: dict[str, Environment] = {}
        self.made = 0
        """How many were ever made, those of a create included."""
        self.deleted: list[str] = []
        """Ids of deleted ones, in that order."""

    def reset(self) -> None:
        """Forgets all."""
        self._all.clear()
        self.made = 0
        self.deleted.clear()

    def create(self, settings: Mapping[str, object], now_s: float, wall_s: float, *, bare: bool) -> Environment:
        """A new one. Ids were seen in two forms: `bare` is 32 hex digits, else a UUID with dashes."""
        number = uuid.UUID(int=self._random.getrandbits(128), version=4)
        environment = Environment(
            id=number.hex if bare else str(number),
            settings=settings,
            created_s=now_s,
            created_wall_s=wall_s,
            accessed_s=now_s,
        )
        self._all[environment.id] = environment
        self.made += 1
        return environment

    def find(self, environment_id: str, now_s: float) -> Environment:
        """Raises ApiError 404 for one that never was, was deleted or has expired."""
        environment = self._all.get(environment_id)
        if environment is None or now_s - environment.accessed_s >= KEPT_S:
            raise ApiError(404, f"Environment '{environment_id}' not found.")
        return environment

    def delete(self, environment_id: str, now_s: float) -> None:
        """Raises ApiError 404."""
        self.find(environment_id, now_s)
        del self._all[environment_id]
        self.deleted.append(environment_id)

    def alive(self, now_s: float) -> tuple[Environment, ...]:
        """Those that can be used, oldest first."""
        return tuple(one for one in self._all.values() if now_s - one.accessed_s < KEPT_S)


class SavedAgents:
    """Agents made by `POST /agents`. Its owner holds the world's lock."""

    def __init__(self) -> None:
        self._all: dict[str, Mapping[str, object]] = {}

    def reset(self) -> None:
        """Forgets all."""
        self._all.clear()

    def create(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Raises ApiError 400 for a bad body, 409 for an id that is taken."""
        for name in body:
            if name not in _AGENT_FIELDS:
                raise ApiError(400, f"Unknown parameter: '{name}'.", code="parameter_unknown")
        agent_id = body.get("id")
        if not isinstance(agent_id, str) or not agent_id:
            raise ApiError(400, "'id' must be a non-empty string.")
        if body.get("base_agent") not in AGENTS:
            raise ApiError(404, f"Agent '{body.get('base_agent')}' not found.", code="model_not_found")
        if agent_id in self._all:
            raise ApiError(409, f"Agent '{agent_id}' already exists.", code="already_exists")
        self._all[agent_id] = body
        return body

    def find(self, agent_id: str) -> Mapping[str, object]:
        """Raises ApiError 404."""
        if agent_id not in self._all:
            raise ApiError(404, f"Agent '{agent_id}' not found.")
        return self._all[agent_id]

    def delete(self, agent_id: str) -> None:
        """Raises ApiError 404."""
        self.find(agent_id)
        del self._all[agent_id]

    def all(self) -> tuple[Mapping[str, object], ...]:
        """Oldest first."""
        return tuple(self._all.values())

    def configured(self, order: RunRequest) -> dict[str, object]:
        """The configuration the run gets: a saved agent's model is locked.

        Raises ApiError 404 for an agent nobody knows, 400 for another model than the saved one.
        """
        if order.agent in AGENTS:
            base: object = None
        elif order.agent in self._all:
            base = self._all[order.agent].get("agent_config")
        else:
            raise ApiError(404, f"Agent '{order.agent}' not found.", code="model_not_found")
        saved = dict(base) if isinstance(base, dict) else {}
        if "model" in saved and order.agent_config.get("model", saved["model"]) != saved["model"]:
            raise ApiError(400, f"The model of agent '{order.agent}' cannot be overridden.")
        merged: dict[str, object] = {**saved, **order.agent_config}
        if merged.get("type") == "antigravity":
            merged.setdefault("model", DEFAULT_MODEL)
        return merged
