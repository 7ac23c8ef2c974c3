"""The control calls of a simulator in another process, for a demo or a drill that has no world at hand."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from console.simulator.faults import FaultSpec, plain_faults
from console.simulator.scenario import Scenario

TIMEOUT_S = 10.0


class ControlClient:
    """Blocking, a millisecond or two each. Every call raises OSError where the simulator has gone."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port

    def stats(self) -> Mapping[str, object]:
        """As `World.stats`."""
        return self._call("GET", "stats")

    def runs(self) -> list[Mapping[str, object]]:
        """The truth about every run that ever started, oldest first: `control.truth`."""
        runs = self._call("GET", "runs")["runs"]
        return runs if isinstance(runs, list) else []

    def set_scenario(self, scenario: Scenario) -> None:
        """The default of prompts that bring none."""
        self._call("POST", "scenario", scenario.to_json())

    def set_faults(self, spec: FaultSpec) -> None:
        """Switches on for everybody. Raises ValueError for an unknown fault."""
        self._call("POST", "faults", plain_faults(spec))

    def clear_faults(self) -> None:
        """Switches off again."""
        self._call("DELETE", "faults")

    def advance(self, seconds: float) -> None:
        """Puts the simulator's clocks forward."""
        self._call("POST", "advance", {"seconds": seconds})

    def reset(self) -> None:
        """Forgets runs, sandboxes, agents, faults and counts."""
        self._call("POST", "reset")

    def _call(self, method: str, name: str, body: object = None) -> dict[str, object]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, f"/_sim/{name}", body=None if body is None else json.dumps(body))
            reply = connection.getresponse()
            data = json.loads(reply.read())
        except (http.client.HTTPException, ValueError) as exc:
            raise OSError(f"the simulator did not answer: {exc}") from exc
        finally:
            connection.close()
        if reply.status != 200:
            raise ValueError(data["error"]["message"])
        return data if isinstance(data, dict) else {}
