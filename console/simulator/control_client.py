"""The control calls of a simulator in another process.

The client uses `http.client`, so a parent process loads no HTTP library for it.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from console.simulator.faults import FaultSpec, faults_to_json

TIMEOUT_S = 10.0
TOKEN_HEADER = "x-simulator-token"
"""The header with the control token."""
TOKEN_VARIABLE = "NIGHTDESK_SIMULATOR_TOKEN"
"""The environment variable from which `python -m console.simulator` reads its control token."""


class ControlClient:
    """Blocking control calls, each of a millisecond or two. Every call raises OSError if there is no simulator.

    PermissionError, which is an OSError, means that the control token is wrong.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        """`url` is that of the simulator, without a path; `token` its control token if it has one."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port
        self._headers = {} if token is None else {TOKEN_HEADER: token}

    def stats(self) -> Mapping[str, object]:
        """Return the counts, as `SimulatorState.stats`."""
        return self._call("GET", "stats")

    def runs(self) -> list[Mapping[str, object]]:
        """Return the facts of every run that ever started, oldest first, as `control.run_facts`."""
        runs = self._call("GET", "runs")["runs"]
        return runs if isinstance(runs, list) else []

    def set_faults(self, spec: FaultSpec) -> None:
        """Switch faults on for every run. Raises ValueError for an unknown fault."""
        self._call("POST", "faults", faults_to_json(spec))

    def clear_faults(self) -> None:
        """Switch off the faults of all runs."""
        self._call("DELETE", "faults")

    def reset(self) -> None:
        """Forget runs, sandboxes, agents, faults and counts."""
        self._call("POST", "reset")

    def _call(self, method: str, name: str, body: object = None) -> dict[str, object]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            written = None if body is None else json.dumps(body)
            connection.request(method, f"/_sim/{name}", body=written, headers=self._headers)
            reply = connection.getresponse()
            data = json.loads(reply.read())
        except (http.client.HTTPException, ValueError) as exc:
            raise OSError(f"the simulator did not answer: {exc}") from exc
        finally:
            connection.close()
        if reply.status == 403:
            raise PermissionError(data["error"]["message"])
        if reply.status != 200:
            raise ValueError(data["error"]["message"])
        return data if isinstance(data, dict) else {}
