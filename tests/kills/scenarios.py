"""What happens in a trial beside the kills: what the agent does, what the network does, what a person does."""

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
"""How late the service acts on a create whose client may have gone by then."""


class RunScenario(StrEnum):
    """How a run goes where nothing goes wrong."""

    PLAIN = "plain"
    """The agent comes home at once."""
    OVERDUE = "overdue"
    """It works for ever: the clock stops it."""
    STUBBORN = "stubborn"
    """It works for ever, and no cancel has an effect: its sandbox is deleted."""
    BLIND = "blind"
    """The answer to its launch is lost and it works for ever: at its time limit its sandbox is deleted."""
    STOPPED = "stopped"
    """It works for ever: a person stops it."""
    ENDLESS = "endless"
    """It works for ever, and its time is over only after a jump of the clock."""
    NOT_LAUNCHED = "not launched"
    """A person rules so on an unconfirmed run."""
    ADOPTED = "adopted"
    """A person names the id of an unconfirmed run, where there is one."""
    WRITTEN_OFF = "written off"
    """A person gives an unconfirmed run up."""

    @property
    def is_ruled(self) -> bool:
        """A person decides on it."""
        return self in (RunScenario.NOT_LAUNCHED, RunScenario.ADOPTED, RunScenario.WRITTEN_OFF)

    @property
    def max_ms(self) -> int:
        """The time limit of its runs."""
        return SHORT_MS if self in (RunScenario.OVERDUE, RunScenario.STUBBORN, RunScenario.BLIND) else 600_000

    def scenario(self, faults: Faults) -> Scenario:
        """What the agent does, with the faults of one run."""
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
    """What the answer to the create POST proves under a fault."""

    NOTHING = "nothing"
    """Unknown: an agent may run."""
    LAUNCHED = "launched"
    UNLAUNCHED = "not launched"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultClass:
    """One fault class."""

    name: str
    faults: Faults
    """Of the simulator; those that begin with `env_` strike everybody, the others one run."""
    calls: str
    """The kind of call that it strikes."""
    proof: Proof = Proof.LAUNCHED
    create_s: float = 30.0
    """How long this client waits for the answer to a create."""
    streams: bool = False
    """The event stream is open too."""
    refuses: int = 0
    """So many creates of each process find nobody listening."""

    @property
    def of_run(self) -> dict[str, float | FaultLimits]:
        """The faults of one run."""
        return {name: value for name, value in self.faults.items() if not name.startswith("env_")}

    @property
    def of_all(self) -> dict[str, float | FaultLimits]:
        """The faults that cannot be told by run."""
        return {name: value for name, value in self.faults.items() if name.startswith("env_")}


def _create(manner: str, value: float = 1, *, proof: Proof = Proof.NOTHING, create_s: float = 30.0) -> FaultClass:
    name = f"create.{manner}"
    return FaultClass(name=name, faults={name: value}, calls="create", proof=proof, create_s=create_s)


def _other(call: str, *manners: str, first: int = 1, streams: bool = False) -> tuple[FaultClass, ...]:
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
"""After these an agent may run."""
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
SANDBOX = _other("env_create", "503", "lost_reply", "501")
GET = _other("get", "503", "404", "lost_reply", "garbage", first=2)
STREAM = _other("sse", "drop", "error", "silence", streams=True)
CANCEL = (*_other("cancel", "503", "lost_reply", "404_slash", "404_both", "400"),)
DELETE = _other("env_delete", "503", "lost_reply", "reset")
UNDONE = ("create.dropped", "create.500", "create.503")
ADOPTABLE = tuple(trouble for trouble in UNPROVEN if trouble.name not in (*UNDONE, "create.late"))
"""Of the unproven ones those after which an agent does run, and at once."""
