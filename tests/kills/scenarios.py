"""What happens in a trial besides the kills: what the agent does, what the network does, what a person does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from console.simulator.faults import FaultLimits
from console.simulator.scenario import Ending, Scenario

Faults = Mapping[str, float | FaultLimits]

SHORT_MS = 120
"""The time limit of runs that meet it."""
LATE_S = 0.05
"""How late the service acts on a create in `create.late`; its client may be gone by then."""


class RunScenario(StrEnum):
    """What the agent and the operator do where no fault intervenes."""

    PLAIN = "plain"
    """The agent completes at once."""
    OVERDUE = "overdue"
    """The agent works for ever; its time limit stops it."""
    STUBBORN = "stubborn"
    """The agent works for ever and ignores every cancel; its sandbox is deleted."""
    BLIND = "blind"
    """The answer to the launch is lost and the agent works for ever; its sandbox is deleted at the time limit."""
    STOPPED = "stopped"
    """The agent works for ever; a person stops it."""
    ENDLESS = "endless"
    """The agent works for ever; its time limit passes only when the clocks jump an hour."""
    NOT_LAUNCHED = "not launched"
    """A person settles an unconfirmed run as not launched."""
    ADOPTED = "adopted"
    """A person adopts the agent of an unconfirmed run, where there is one."""
    WRITTEN_OFF = "written off"
    """A person writes an unconfirmed run off."""

    @property
    def is_ruled(self) -> bool:
        """True where a person settles the run."""
        return self in (RunScenario.NOT_LAUNCHED, RunScenario.ADOPTED, RunScenario.WRITTEN_OFF)

    @property
    def max_ms(self) -> int:
        """The time limit of the run."""
        return SHORT_MS if self in (RunScenario.OVERDUE, RunScenario.STUBBORN, RunScenario.BLIND) else 600_000

    def scenario(self, faults: Faults) -> Scenario:
        """The simulator's scenario for the agent, with the faults of its own requests."""
        if self is RunScenario.PLAIN or self.is_ruled:
            return Scenario(steps=1, step_seconds=0.0, faults=faults)
        if self is RunScenario.STUBBORN:
            faults = {**faults, "cancel.never": 1_000_000}
        if self is RunScenario.BLIND:
            faults = {**faults, "create.lost_reply": 1}
        return Scenario(
            ending=Ending.NEVER, step_seconds=0.1, tokens_per_step=10, cancel_seconds=0.01, faults=dict(faults)
        )


class Proof(StrEnum):
    """What the answer to the create POST proves where a fault strikes it."""

    NOTHING = "nothing"
    """An agent may or may not run."""
    LAUNCHED = "launched"
    UNLAUNCHED = "not launched"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultClass:
    """One class of faults at the service or on the network."""

    name: str
    faults: Faults
    """Names and limits of the simulator's faults. Those that begin with `env_` cannot be limited to one run."""
    calls: str
    """The kind of call that fails."""
    proof: Proof = Proof.LAUNCHED
    create_s: float = 30.0
    """How long the client waits for the answer to a create."""
    streams: bool = False
    """The client opens event streams."""
    refuses: int = 0
    """The first so many creates of each process get no connection."""
    of_service: bool = False
    """All faults are set at the service for everybody: a session is read before its run has begun."""

    @property
    def of_run(self) -> dict[str, float | FaultLimits]:
        """The faults that the prompt of the run carries."""
        return {name: value for name, value in self.faults.items() if not self._is_of_all(name)}

    @property
    def of_all(self) -> dict[str, float | FaultLimits]:
        """The faults that are set at the service for everybody."""
        return {name: value for name, value in self.faults.items() if self._is_of_all(name)}

    @property
    def hides(self) -> bool:
        """True where a session cannot be read or deleted for a while."""
        return any(name.startswith(("get.", "env_delete.")) for name in self.faults)

    def _is_of_all(self, name: str) -> bool:
        return self.of_service or name.startswith("env_")


def _create(manner: str, value: float = 1, *, proof: Proof = Proof.NOTHING, create_s: float = 30.0) -> FaultClass:
    name = f"create.{manner}"
    return FaultClass(name=name, faults={name: value}, calls="create", proof=proof, create_s=create_s)


def other(call: str, *manners: str, first: int = 1, streams: bool = False) -> tuple[FaultClass, ...]:
    """A fault class for each manner in which a call other than the create fails, its first `first` times."""
    return tuple(
        FaultClass(name=f"{call}.{manner}", faults={f"{call}.{manner}": first}, calls=call, streams=streams)
        for manner in manners
    )


NONE = FaultClass(name="none", faults={}, calls="none")
SLOW = _create("slow", 0.02, proof=Proof.LAUNCHED)
REFUSED = _create("400", proof=Proof.UNLAUNCHED)
UNPROVEN = (
    *(_create(manner) for manner in ("lost_reply", "dropped", "reset", "half_body", "garbage", "no_id")),
    *(_create(manner) for manner in ("500", "503", "503_but_done", "409_but_done")),
    _create("late", LATE_S, create_s=0.02),
    _create("silence", create_s=0.05),
)
"""Fault classes after which an agent may run."""
PROVEN = (
    SLOW,
    REFUSED,
    FaultClass(
        name="create.429",
        faults={"create.429.retry_after_ms": {"first": 1, "value": 0.005}},
        calls="create",
        proof=Proof.UNLAUNCHED,
    ),
    FaultClass(name="create.refused", faults={}, calls="create", proof=Proof.UNLAUNCHED, refuses=1),
)
CREATE = (*UNPROVEN, *PROVEN)
SANDBOX = other("env_create", "503", "lost_reply", "501")
GET = other("get", "503", "404", "lost_reply", "garbage", first=2)
STREAM = other("sse", "drop", "error", "silence", streams=True)
CANCEL = (*other("cancel", "503", "lost_reply", "404_slash", "404_both", "400"),)
DELETE = other("env_delete", "503", "lost_reply", "reset")
UNDONE = ("create.dropped", "create.500", "create.503")
ADOPTABLE = tuple(fault for fault in UNPROVEN if fault.name not in (*UNDONE, "create.late"))
"""Of the unproven ones, those after which an agent runs at once, so that a person can adopt it."""
