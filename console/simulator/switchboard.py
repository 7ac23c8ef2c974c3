"""Which faults strike now: those of one run first, then those switched on for everybody."""

from __future__ import annotations

from console.simulator.faults import Call, Fault, FaultBoard, FaultSpec, Switch, parse_faults
from console.simulator.scenario import Scenario


class Switchboard:
    """The boards of one world. Its owner holds the world's lock."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._common = FaultBoard(seed=str(seed))
        self._launches: dict[str, FaultBoard] = {}

    def reset(self) -> None:
        """Switches everything off and forgets how often anything struck."""
        self._common.clear()
        self._launches.clear()

    def put(self, spec: FaultSpec) -> None:
        """Switches on for everybody. Raises ValueError for an unknown fault."""
        self._common.put(parse_faults(spec))

    def clear(self) -> None:
        """Switches off what is on for everybody."""
        self._common.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """What is on for everybody, spent faults too."""
        return self._common.names

    def of_launch(self, scenario: Scenario, labels: object, prompt: str) -> FaultBoard:
        """One launch's board: repeated creates with the same `nightdesk-run`, or prompt, count together."""
        label = labels.get("nightdesk-run") if isinstance(labels, dict) else None
        scope = label if isinstance(label, str) else prompt
        if scope not in self._launches:
            self._launches[scope] = FaultBoard(scenario.parsed_faults, seed=f"{self._seed}/{scope}")
        return self._launches[scope]

    def reply_fault(self, call: Call, own: FaultBoard | None) -> Fault | None:
        """What strikes this reply, counting one chance on both boards."""
        fault = own.reply_fault(call) if own is not None else None
        common = self._common.reply_fault(call)
        return fault or common

    def take(self, switch: Switch, own: FaultBoard | None = None) -> Fault | None:
        """The switch where it is on, counting one chance."""
        fault = own.take(switch) if own is not None else None
        return fault or self._common.take(switch)
