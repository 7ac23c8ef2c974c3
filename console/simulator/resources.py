"""What a launch may refer to: the agents and models of the service, saved agents, and sandboxes."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from console.simulator.errors import ApiError

AGENTS = frozenset(
    {
        "antigravity-preview-09-2026",
        "deep-research-preview-04-2026",
        "deep-research-max-preview-04-2026",
        "deep-research-pro-preview-12-2025",
    }
)
"""The agents of the service. antigravity-preview-05-2026 was shut down on 2026-10-05."""
MODELS = ("gemini-3.8-flash", "gemini-3.7-flash", "gemini-3.6-flash", "gemini-3.5-flash", "gemini-3.5-flash-lite")
DEFAULT_MODEL = "gemini-3.8-flash"
ENVIRONMENT_TTL_S = 7 * 86_400.0
"""A sandbox expires this long after its last use."""


@dataclass(slots=True, kw_only=True)
class Environment:
    """One sandbox."""

    id: str
    settings: Mapping[str, object]
    """`sources` and `network`, as given at its creation."""
    created_s: float
    created_wall_s: float
    accessed_s: float


class Environments:
    """All sandboxes of one service. The caller holds the lock of the state."""

    def __init__(self, *, seed: int) -> None:
        self._random = random.Random(f"{seed}/environments")
        self._all: dict[str, Environment] = {}
        self.made = 0
        """The number of sandboxes ever created, including those created by a launch."""
        self.deleted: list[str] = []
        """The ids of deleted sandboxes, oldest deletion first."""

    def reset(self) -> None:
        """Forget all sandboxes and counts."""
        self._all.clear()
        self.made = 0
        self.deleted.clear()

    def create(self, settings: Mapping[str, object], now_s: float, wall_s: float, *, bare: bool) -> Environment:
        """Create a sandbox. Its id is 32 hex digits if `bare`, else a UUID with dashes: both forms were seen live."""
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
        """Return a sandbox. Raises ApiError 404 if it does not exist, was deleted or has expired."""
        environment = self._all.get(environment_id)
        if environment is None or now_s - environment.accessed_s >= ENVIRONMENT_TTL_S:
            raise ApiError(404, f"Environment '{environment_id}' not found.")
        return environment

    def use(self, environment_id: str, now_s: float) -> Environment:
        """Return a sandbox and postpone its expiry. Raises ApiError 404 like `find`."""
        environment = self.find(environment_id, now_s)
        environment.accessed_s = now_s
        return environment

    def delete(self, environment_id: str, now_s: float) -> None:
        """Delete a sandbox. Raises ApiError 404 like `find`."""
        self.find(environment_id, now_s)
        del self._all[environment_id]
        self.deleted.append(environment_id)

    def usable(self, now_s: float) -> tuple[Environment, ...]:
        """Return the sandboxes that have not expired, oldest first."""
        return tuple(one for one in self._all.values() if now_s - one.accessed_s < ENVIRONMENT_TTL_S)


class SavedAgents:
    """The agents that clients saved. The caller holds the lock of the state."""

    def __init__(self) -> None:
        self._all: dict[str, Mapping[str, object]] = {}

    def reset(self) -> None:
        """Forget all saved agents."""
        self._all.clear()

    def create(self, agent_id: str, saved: Mapping[str, object]) -> None:
        """Save an agent under an id. Raises ApiError 404 for an unknown `base_agent`, 409 for an id in use."""
        if saved.get("base_agent") not in AGENTS:
            raise ApiError(404, f"Agent '{saved.get('base_agent')}' not found.", code="model_not_found")
        if agent_id in self._all:
            raise ApiError(409, f"Agent '{agent_id}' already exists.", code="already_exists")
        self._all[agent_id] = saved

    def find(self, agent_id: str) -> Mapping[str, object]:
        """Return a saved agent. Raises ApiError 404."""
        if agent_id not in self._all:
            raise ApiError(404, f"Agent '{agent_id}' not found.")
        return self._all[agent_id]

    def delete(self, agent_id: str) -> None:
        """Delete a saved agent. Raises ApiError 404."""
        self.find(agent_id)
        del self._all[agent_id]

    def all(self) -> tuple[Mapping[str, object], ...]:
        """Return all saved agents, oldest first."""
        return tuple(self._all.values())

    def configuration(self, agent: str, requested: Mapping[str, object]) -> dict[str, object]:
        """Return the configuration of a run: that of the saved agent, with `requested` over it.

        Raises ApiError 404 for an unknown agent, 400 if `requested` names another model than the saved one.
        """
        if agent in AGENTS:
            base: object = None
        elif agent in self._all:
            base = self._all[agent].get("agent_config")
        else:
            raise ApiError(404, f"Agent '{agent}' not found.", code="model_not_found")
        saved = dict(base) if isinstance(base, dict) else {}
        if "model" in saved and requested.get("model", saved["model"]) != saved["model"]:
            raise ApiError(400, f"The model of agent '{agent}' cannot be overridden.")
        merged: dict[str, object] = {**saved, **requested}
        if merged.get("type") == "antigravity":
            merged.setdefault("model", DEFAULT_MODEL)
        return merged
