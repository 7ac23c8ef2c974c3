"""A plain HTTP caller of the simulated service: no retries, no redirects, a fresh connection where asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from console.simulator.scenario import Scenario

AGENT = "antigravity-preview-09-2026"
KEY = "9f2c51ab03de7714"


def order(scenario: Scenario | None = None, **changes: object) -> dict[str, object]:
    """A create body as a careful client sends it; a change to None takes a field away."""
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
    """Speaks to one simulator."""

    def __init__(self, url: str, *, version: str = "v1beta", timeout: float = 10.0) -> None:
        self._client = httpx.Client(
            base_url=f"{url}/{version}",
            headers={"x-goog-api-key": "secret"},
            timeout=timeout,
            trust_env=False,
            # Plain HTTP on loopback: loading certificates for nobody takes longer than most tests.
            verify=False,
        )
        self._root = url

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def call(self, method: str, path: str, **kinds: Any) -> httpx.Response:
        """Any call below the version."""
        return self._client.request(method, path, **kinds)

    def create(self, scenario: Scenario | None = None, **changes: object) -> httpx.Response:
        """POST /interactions."""
        return self.call("POST", "/interactions", json=order(scenario, **changes))

    def start(self, scenario: Scenario | None = None, **changes: object) -> str:
        """The id of a run that was started without trouble."""
        reply = self.create(scenario, **changes)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])

    def get(self, run_id: str, **query: str) -> httpx.Response:
        """GET /interactions/{id}."""
        return self.call("GET", f"/interactions/{run_id}", params=query)

    def shown(self, run_id: str) -> dict[str, Any]:
        """What GET shows, where it shows it."""
        reply = self.get(run_id)
        assert reply.status_code == 200, reply.text
        shown: dict[str, Any] = reply.json()
        return shown

    def cancel(self, run_id: str, *, colon: bool = False) -> httpx.Response:
        """POST in one of the two forms."""
        return self.call("POST", f"/interactions/{run_id}{':' if colon else '/'}cancel")

    def raw_stream(self, run_id: str, **query: str) -> bytes:
        """The whole body of the stream. Raises httpx.TransportError as the line breaks or falls silent."""
        return b"".join(self.chunks(run_id, **query))

    def chunks(self, run_id: str, **query: str) -> Iterator[bytes]:
        """The body of the stream as it comes."""
        with self._client.stream("GET", f"/interactions/{run_id}", params={"stream": "true"} | query) as reply:
            yield from reply.iter_raw()

    def events(self, run_id: str, **query: str) -> list[dict[str, Any]]:
        """The payloads of the stream, without the last [DONE], which must be there."""
        payloads = [data for data in frames(self.raw_stream(run_id, **query).decode())]
        assert payloads.pop() == "[DONE]"
        return [json.loads(data) for data in payloads]

    def control(self, name: str, body: object = None) -> httpx.Response:
        """A control call: POST, without a body GET."""
        method = "GET" if body is None else "POST"
        return self._client.request(method, f"{self._root}/_sim/{name}", json=body)


def frames(text: str) -> Iterator[str]:
    """The `data` of each frame of a well-formed stream."""
    for frame in text.split("\n\n"):
        if frame:
            event, _, data = frame.partition("\n")
            assert event.startswith("event: "), frame
            assert data.startswith("data: "), frame
            yield data.removeprefix("data: ")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, in order."""
    return [str(event["event_type"]) for event in events]


def code(reply: httpx.Response) -> tuple[int, str]:
    """HTTP status and the code of an error of the new form."""
    error: Mapping[str, Any] = reply.json()["error"]
    return reply.status_code, str(error["code"])
