"""The runs of one world: what really started, what still spends, and what a client can find of it."""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Mapping

from console.simulator.checks import Order
from console.simulator.clock import WorldClock
from console.simulator.course import Course, Limit
from console.simulator.errors import ApiError
from console.simulator.faults import FaultBoard, Switch
from console.simulator.registry import Environments, SavedAgents
from console.simulator.run import Run, View
from console.simulator.scenario import PARKED, Ending, Scenario
from console.simulator.switchboard import Switchboard


class Interactions:
    """All runs. Its owner holds the world's lock."""

    def __init__(
        self,
        *,
        seed: int,
        clock: WorldClock,
        switches: Switchboard,
        environments: Environments,
        agents: SavedAgents,
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._switches = switches
        self._environments = environments
        self._agents = agents
        self._runs: dict[str, Run] = {}
        self._by_key: dict[str, list[Run]] = {}
        self._numbers = itertools.count()

    def reset(self) -> None:
        """Forgets all; ids are never given twice."""
        self._runs.clear()
        self._by_key.clear()

    def all(self, key: str | None = None) -> tuple[Run, ...]:
        """Every run that ever started, deleted ones too, oldest first; of one key, or all."""
        return tuple(self._runs.values() if key is None else self._by_key.get(key, ()))

    def live(self, key: str | None = None) -> int:
        """Runs that may still spend."""
        now = self._clock.now()
        return sum(run.view(now).may_spend for run in self.all(key))

    def truth(self, run_id: str) -> Run:
        """A run, whatever the service would say of it. Raises KeyError."""
        return self._runs[run_id]

    def find(self, run_id: str) -> Run:
        """The run as a client can find it. Raises ApiError 404."""
        run = self._runs.get(run_id)
        if run is None or run.is_deleted or run.is_hidden:
            raise ApiError(404, f"Interaction '{run_id}' not found.")
        return run

    def board_of(self, run_id: str) -> FaultBoard | None:
        """The faults of a run, deleted ones too; None where there is no such run."""
        run = self._runs.get(run_id)
        return run.board if run is not None else None

    def start(self, order: Order, scenario: Scenario, board: FaultBoard) -> Run:
        """Starts a run. Raises ApiError where the order names what does not exist, or chains on a live run."""
        config = self._agents.configured(order)
        self._check_chain(order, board)
        run = self._make(order, config, scenario, board, self._environment_of(order))
        self._runs[run.id] = run
        self._by_key.setdefault(run.key, []).append(run)
        return run

    def cancel(self, run_id: str) -> Run:
        """Asks a run to stop, which takes effect later. Raises ApiError 404, 400 for what cannot be cancelled."""
        run, now = self.find(run_id), self._clock.now()
        view = run.view(now)
        run.cancels += 1
        if view.is_terminal:
            if self._switches.take(Switch.CANCEL_TERMINAL_400, run.board):
                raise ApiError(400, f"The interaction is already {view.status}.", code="failed_precondition")
            return run
        if not run.background:
            raise ApiError(400, "Only background interactions can be cancelled.", code="failed_precondition")
        if not self._switches.take(Switch.CANCEL_NEVER, run.board):
            delay = self._switches.take(Switch.CANCEL_DELAY, run.board)
            run.cut(now, delay.value if delay else run.scenario.cancel_seconds, "cancelled")
        return run

    def delete(self, run_id: str) -> None:
        """Removes the stored record; the run itself goes on. Raises ApiError 404."""
        self.find(run_id).is_deleted = True

    def abandon(self, run: Run) -> None:
        """The client of a foreground run has left: the run stops and is not found any more."""
        run.cut(self._clock.now(), 0.0, "cancelled")
        run.is_hidden = True

    def sandbox_deleted(self, environment_id: str) -> None:
        """A run in that sandbox fails at once, unless it is switched to go on."""
        now = self._clock.now()
        for run in self._runs.values():
            if run.environment_id != environment_id or run.view(now).is_terminal:
                continue
            if not self._switches.take(Switch.SANDBOX_IGNORED, run.board):
                run.cut(now, 0.0, "failed")

    def view(self, run: Run) -> View:
        """The truth about it now."""
        return run.view(self._clock.now())

    def _check_chain(self, order: Order, board: FaultBoard) -> None:
        if order.previous_interaction_id is None:
            return
        view = self.view(self.find(order.previous_interaction_id))
        if not view.is_terminal and view.status not in PARKED:
            raise ApiError(400, f"Interaction '{order.previous_interaction_id}' is {view.status}.")
        settling = self._switches.take(Switch.CHAIN_SETTLING, board)
        if settling and view.ended_s is not None and self._clock.now() - view.ended_s < settling.value:
            raise ApiError(400, "The previous interaction is not settled yet.", code="failed_precondition")

    def _environment_of(self, order: Order) -> str | None:
        now, wanted = self._clock.now(), order.environment
        settings: Mapping[str, object] = {}
        if isinstance(wanted, Mapping):
            settings = wanted
            inner = wanted.get("environment_id", "remote")
            wanted = inner if isinstance(inner, str) else "remote"
        if wanted is None:
            return None
        if wanted == "remote":
            return self._environments.create(settings, now, self._clock.wall(), bare=True).id
        return self._environments.find(wanted, now).touch(now).id

    def _make(
        self,
        order: Order,
        config: Mapping[str, object],
        scenario: Scenario,
        board: FaultBoard,
        environment_id: str | None,
    ) -> Run:
        key = order.labels.get("nightdesk-key", "")
        number = next(self._numbers)
        seed = f"{self._seed}/{key}/{len(self.all(key)) if key else number}"
        shown = dict(config)
        if order.max_total_tokens is not None and not self._switches.take(Switch.ECHO_INT, board):
            shown["max_total_tokens"] = str(order.max_total_tokens)
        random_id = random.Random(f"{seed}/{number}/id").randbytes(24)
        zombie = self._switches.take(Switch.ZOMBIE, board) is not None
        return Run(
            id=f"v1_{base64.urlsafe_b64encode(random_id).decode()}",
            agent=order.agent,
            agent_config=shown,
            input=order.input,
            labels=order.labels,
            scenario=scenario,
            course=Course(scenario, self._limit(order, board), seed=seed, zombie=zombie),
            board=board,
            created_s=self._clock.now(),
            created_wall_s=self._clock.wall(),
            environment_id=environment_id,
            shows_environment=order.environment is not None,
            background=order.background,
            service_tier=order.service_tier,
        )

    def _limit(self, order: Order, board: FaultBoard) -> Limit:
        take = self._switches.take
        hit, overshoot = take(Switch.BUDGET_HIT, board), take(Switch.BUDGET_OVERSHOOT, board)
        return Limit(
            tokens=None if take(Switch.BUDGET_IGNORED, board) else order.max_total_tokens,
            overshoot=overshoot.value / 100 if overshoot else 0.0,
            hit_by_step=max(1, int(hit.value)) if hit else None,
            status=Ending.BUDGET_EXCEEDED if take(Switch.BUDGET_EXCEEDED, board) else Ending.INCOMPLETE,
        )
