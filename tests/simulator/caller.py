"""A plain HTTP client of the simulated service, without retries and redirects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from console.simulator.scenario import Scenario

AGENT = "antigravity-preview-09-2026"
KEY = "9f2c51ab03de7714"


def launch_body(scenario: Scenario | None = None, **changes: object) -> dict[str, object]:
    """Return the body of a launch as a careful client sends it. A change to None removes the field."""
    body: dict[str, object] = {
        "agent": AGENT,
        "agent_config": {"type": "antigravity", "max_total_tokens": "200000"},
        "background": True,
        "store": True,
        "environment": "remote",
        "input": (scenario or Scenario()).prompt(),
        "labels": {"nightdesk-key": KEY, "nightdesk-run": "01k0", "nightdesk-attempt": "1"},
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


class Caller:
    """A client of one simulator."""

    def __init__(self, url: str, *, version: str = "v1beta", timeout: float = 10.0) -> None:
        self._client = httpx.Client(
            base_url=f"{url}/{version}",
            headers={"x-goog-api-key": "secret"},
            timeout=timeout,
            trust_env=False,
            # Plain HTTP on loopback needs no certificates, and loading them takes longer than most tests.
            verify=False,
        )
        self._root = url

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(self, method: str, path: str, **kinds: Any) -> httpx.Response:
        """Make any call below the version."""
        return self._client.request(method, path, **kinds)

    def create(self, scenario: Scenario | None = None, **changes: object) -> httpx.Response:
        """Launch a run: POST /interactions."""
        return self.call("POST", "/interactions", json=launch_body(scenario, **changes))

    def start(self, scenario: Scenario | None = None, **changes: object) -> str:
        """Launch a run, which must succeed, and return its id."""
        reply = self.create(scenario, **changes)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])

    def get(self, run_id: str, **query: str) -> httpx.Response:
        """Get a run: GET /interactions/{id}."""
        return self.call("GET", f"/interactions/{run_id}", params=query)

    def shown(self, run_id: str) -> dict[str, Any]:
        """Get a run, which must succeed, and return its body."""
        reply = self.get(run_id)
        assert reply.status_code == 200, reply.text
        shown: dict[str, Any] = reply.json()
        return shown

    def cancel(self, run_id: str, *, colon: bool = False) -> httpx.Response:
        """Cancel a run in one of the two forms."""
        return self.call("POST", f"/interactions/{run_id}{':' if colon else '/'}cancel")

    def raw_stream(self, run_id: str, **query: str) -> bytes:
        """Return the whole body of a stream. Raises httpx.TransportError if the stream breaks or stalls."""
        return b"".join(self.chunks(run_id, **query))

    def chunks(self, run_id: str, **query: str) -> Iterator[bytes]:
        """Yield the body of a stream as it arrives."""
        with self._client.stream("GET", f"/interactions/{run_id}", params={"stream": "true"} | query) as reply:
            yield from reply.iter_raw()

    def events(self, run_id: str, **query: str) -> list[dict[str, Any]]:
        """Return the payloads of a stream, without the last one, which must be [DONE]."""
        payloads = [data for data in frames(self.raw_stream(run_id, **query).decode())]
        assert payloads.pop() == "[DONE]"
        return [json.loads(data) for data in payloads]

    def control(self, name: str, body: object = None) -> httpx.Response:
        """Make a control call: GET without a body, else POST."""
        method = "GET" if body is None else "POST"
        return self._client.request(method, f"{self._root}/_sim/{name}", json=body)


def frames(text: str) -> Iterator[str]:
    """Yield the `data` of each frame of a well-formed stream."""
    for frame in text.split("\n\n"):
        if frame:
            event, _, data = frame.partition("\n")
            assert event.startswith("event: "), frame
            assert data.startswith("data: "), frame
            yield data.removeprefix("data: ")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events, in order."""
    return [str(event["event_type"]) for event in events]


def code(reply: httpx.Response) -> tuple[int, str]:
    """Return the HTTP status and the code of an error in the new form."""
    error: Mapping[str, Any] = reply.json()["error"]
    return reply.status_code, str(error["code"])
