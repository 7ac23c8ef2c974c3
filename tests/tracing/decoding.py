"""What a receiver of OTLP finds in a request, as plain values: decoded by the published protocol, not by our encoder.

Kept apart because the tests of the command line read requests too.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import pytest

NEEDS_OTEL = pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is None, reason="opentelemetry is optional")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedSpan:
    """One span as it arrived."""

    name: str
    trace: str
    """Hexadecimal."""
    span: str
    parent: str
    kind: int
    """3 for a client."""
    begin_ms: float
    end_ms: float
    error: str
    """The description of an error; empty for none."""
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    about: dict[str, Any]
    """The attributes of its resource."""


def decoded(body: bytes) -> list[ArrivedSpan]:
    """The spans of a request."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return [
        ArrivedSpan(
            name=span.name,
            trace=span.trace_id.hex(),
            span=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            kind=span.kind,
            begin_ms=span.start_time_unix_nano / 1e6,
            end_ms=span.end_time_unix_nano / 1e6,
            error=span.status.message if span.status.code == 2 else "",
            attributes=_plain(span.attributes),
            events=[(event.name, _plain(event.attributes)) for event in span.events],
            about=_plain(of_resource.resource.attributes),
        )
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
