"""The calls of `/triggers`: a launch that is kept at the service and run by hand.

The fields follow the google-genai 3.6.1 types. What the service does with them was never seen: that a paused trigger
can be run, that the interaction of an execution which ran out of time is cancelled, and when it is named.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.simulator.errors import ApiError
from console.simulator.faults import CallKind, Switch
from console.simulator.gemini.bodies import method_not_found, utc
from console.simulator.gemini.validation import check_launch, prompt_of, require_object, unknown_parameter
from console.simulator.pipeline import RequestPipeline
from console.simulator.replies import json_reply
from console.simulator.run import SimulatedRun
from console.simulator.scenario import from_prompt
from console.simulator.state import SimulatorState

DEFAULT_TIMEOUT_S = 600
_FIELDS = frozenset(
    {"interaction", "schedule", "time_zone", "display_name", "environment_id", "execution_timeout_seconds"}
    | {"max_consecutive_failures"}
)
_CHANGES = frozenset({"display_name", "status", "schedule", "time_zone", "execution_timeout_seconds"})
_CRON = re.compile(r"\S+( \S+){4}")


@dataclass(slots=True, kw_only=True)
class Trigger:
    """One trigger and the runs that it has started."""

    id: str
    body: dict[str, object]
    """As given at its creation, with later changes."""
    created_wall_s: float
    status: str = "active"
    runs: list[SimulatedRun] = field(default_factory=list)

    @property
    def timeout_s(self) -> float:
        """The seconds after which the service ends an execution."""
        given = self.body.get("execution_timeout_seconds", DEFAULT_TIMEOUT_S)
        return float(given) if isinstance(given, int) else DEFAULT_TIMEOUT_S


class TriggersApi:
    """The calls of `/triggers`, and all triggers of one service."""

    def __init__(self, state: SimulatorState, pipeline: RequestPipeline) -> None:
        self._state, self._pipeline = state, pipeline
        self._all: dict[str, Trigger] = {}
        self._numbers = itertools.count(1)
        state.on_reset(self._all.clear)

    def routes(self) -> list[Route]:
        """Return the routes below the version."""
        return [
            Route("/triggers", self.create, methods=["POST"]),
            Route("/triggers", self.list, methods=["GET"]),
            Route("/triggers/{name}", self.get, methods=["GET"]),
            Route("/triggers/{name}", self.update, methods=["PATCH"]),
            Route("/triggers/{name}", self.delete, methods=["DELETE"]),
            Route("/triggers/{name}/executions", self.run, methods=["POST"]),
            Route("/triggers/{name}/executions", self.executions, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Make a trigger: POST /triggers."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.TRIGGER)

        async def action() -> Response:
            self._require_triggers()
            body = dict(require_object(given))
            _check(body)
            with self._state.lock:
                trigger = Trigger(
                    id=f"trg_{next(self._numbers):012x}", body=body, created_wall_s=self._state.clock.wall()
                )
                self._all[trigger.id] = trigger
            return json_reply(_trigger_body(trigger))

        return await self._pipeline.perform(request, CallKind.TRIGGER, action)

    async def list(self, request: Request) -> Response:
        """List the triggers: GET /triggers."""
        self._state.count(CallKind.TRIGGER)

        async def action() -> Response:
            self._require_triggers()
            return json_reply({"triggers": [_trigger_body(trigger) for trigger in self._all.values()]})

        return await self._pipeline.perform(request, CallKind.TRIGGER, action)

    async def get(self, request: Request) -> Response:
        """Return a trigger: GET /triggers/{id}."""
        self._state.count(CallKind.TRIGGER)

        async def action() -> Response:
            return json_reply(_trigger_body(self._find(request)))

        return await self._pipeline.perform(request, CallKind.TRIGGER, action)

    async def update(self, request: Request) -> Response:
        """Change a trigger: PATCH /triggers/{id}."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.TRIGGER)

        async def action() -> Response:
            trigger, changes = self._find(request), dict(require_object(given))
            for name in changes:
                if name not in _CHANGES:
                    raise unknown_parameter(name)
            status = changes.pop("status", trigger.status)
            if status not in ("active", "paused"):
                raise ApiError(400, "'status' must be active or paused.")
            trigger.status = str(status)
            trigger.body |= changes
            return json_reply(_trigger_body(trigger))

        return await self._pipeline.perform(request, CallKind.TRIGGER, action)

    async def delete(self, request: Request) -> Response:
        """Delete a trigger; its runs go on: DELETE /triggers/{id}."""
        self._state.count(CallKind.TRIGGER)

        async def action() -> Response:
            del self._all[self._find(request).id]
            return json_reply({})

        return await self._pipeline.perform(request, CallKind.TRIGGER, action)

    async def run(self, request: Request) -> Response:
        """Run a trigger, paused or not: POST /triggers/{id}/executions, without a body. It counts as a launch."""
        trigger = self._all.get(request.path_params["name"])
        interaction = _interaction(trigger)
        labels, prompt = interaction.get("labels"), prompt_of(interaction.get("input"))
        key = labels.get("nightdesk-key") if isinstance(labels, dict) else None
        self._state.count(CallKind.CREATE, key if isinstance(key, str) else "")
        scenario = from_prompt(prompt, self._state.default)
        with self._state.lock:
            faults = self._state.faults.of_launch(scenario.parsed_faults, labels, prompt)

        async def action() -> Response:
            found = self._find(request)
            launch = check_launch(interaction)
            with self._state.lock:
                config = self._state.agents.configuration(launch.agent, launch.agent_config)
            run = self._state.start(replace(launch, agent_config=config), scenario, faults)
            if not self._state.trigger(Switch.TRIGGER_NO_TIMEOUT, faults):
                with self._state.lock:
                    run.interrupt(self._state.clock.now(), found.timeout_s, "cancelled")
            found.runs.append(run)
            return json_reply(self._execution(found, run))

        return await self._pipeline.perform(request, CallKind.CREATE, action, faults)

    async def executions(self, request: Request) -> Response:
        """List the executions of a trigger: GET /triggers/{id}/executions."""
        self._state.count(CallKind.TRIGGER)

        async def action() -> Response:
            trigger = self._find(request)
            shown = [] if self._state.trigger(Switch.TRIGGER_UNLISTED) else trigger.runs
            return json_reply({"trigger_executions": [self._execution(trigger, run) for run in shown]})

        return await self._pipeline.perform(request, CallKind.TRIGGER, action)

    def _require_triggers(self) -> None:
        if self._state.trigger(Switch.TRIGGER_404):
            raise method_not_found()

    def _find(self, request: Request) -> Trigger:
        """Return the trigger of a call. Raises ApiError 404."""
        name = request.path_params["name"]
        if name not in self._all:
            raise ApiError(404, f"Trigger '{name}' not found.")
        return self._all[name]

    def _execution(self, trigger: Trigger, run: SimulatedRun) -> dict[str, object]:
        """Return the body of the execution that has started `run`."""
        now = self._state.clock.now()
        with self._state.lock:
            view = self._state.run_store.view(run.id)
        lag = self._state.trigger(Switch.TRIGGER_LAG, run.faults)
        ran_out = view.ended_s is not None and view.ended_s >= run.created_s + trigger.timeout_s
        status = "in_progress" if not view.is_terminal else "completed" if view.status == "completed" else "failed"
        body: dict[str, object] = {
            "id": f"exec_{run.id[-12:]}",
            "trigger_id": trigger.id,
            "environment_id": run.environment_id,
            "status": "timed_out" if ran_out else status,
            "start_time": utc(run.created_wall_s),
            "scheduled_time": utc(run.created_wall_s),
        }
        if lag is None or now - run.created_s >= lag.value:
            body["interaction_id"] = run.id
        if view.ended_s is not None:
            body["end_time"] = utc(run.wall(view.ended_s))
        return body


def _interaction(trigger: Trigger | None) -> Mapping[str, object]:
    found = trigger.body.get("interaction") if trigger is not None else None
    return found if isinstance(found, dict) else {}


def _check(body: Mapping[str, object]) -> None:
    """Check the body of a new trigger. Raises ApiError 400."""
    for name in body:
        if name not in _FIELDS:
            raise unknown_parameter(name)
    interaction = body.get("interaction")
    if not isinstance(interaction, dict):
        raise ApiError(400, "'interaction' must be an object.")
    check_launch(interaction)
    if not isinstance(body.get("schedule"), str) or not _CRON.fullmatch(str(body["schedule"])):
        raise ApiError(400, "'schedule' must be a cron expression of five fields.")
    if not isinstance(body.get("time_zone"), str):
        raise ApiError(400, "'time_zone' must be the name of a time zone.")
    timeout = body.get("execution_timeout_seconds", DEFAULT_TIMEOUT_S)
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 1:
        raise ApiError(400, "'execution_timeout_seconds' must be a positive number.")


def _trigger_body(trigger: Trigger) -> dict[str, object]:
    shown: dict[str, object] = {
        **trigger.body,
        "id": trigger.id,
        "status": trigger.status,
        "create_time": utc(trigger.created_wall_s),
        "consecutive_failure_count": 0,
    }
    if trigger.runs:
        shown["previous_interaction_id"] = trigger.runs[-1].id
        shown["last_run_time"] = utc(trigger.runs[-1].created_wall_s)
    return shown
