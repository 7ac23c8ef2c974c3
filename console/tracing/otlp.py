"""Spans as bytes of OTLP, and what a receiver answers: the only module that loads OpenTelemetry.

Its SDK makes and encodes the spans; it neither samples nor sends any. Its own exporter would follow proxies and
credentials of the environment, try again in a thread that nothing ends, and so hold up the end of a process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from console import __version__
from console.tracing.run_spans import RunSpan

NS = 1_000_000
"""Nanoseconds in a millisecond."""
CONVENTIONS = "https://opentelemetry.io/schemas/1.45.0"
"""The schema of the general conventions that those for GenAI stand on."""


def encode(spans: Iterable[RunSpan], about: Mapping[str, str]) -> bytes:
    """An ExportTraceServiceRequest with `spans`; `about` are the attributes of their resource."""
    # Not `Resource.create`, which reads the environment and asks the machine.
    resource = Resource(dict(about))
    scope = InstrumentationScope("nightdesk", __version__, CONVENTIONS)
    made = [_readable(span, resource, scope) for span in spans]
    content: bytes = encode_spans(made).SerializeToString()
    return content


def rejected(body: bytes) -> int:
    """How many spans of a request that was taken were not, as the receiver says; 0 for an answer without meaning."""
    try:
        count: int = ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
    except DecodeError:
        return 0
    return max(0, count)


def _readable(span: RunSpan, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    status = Status(StatusCode.ERROR, span.error) if span.error else Status()
    error = {"error.type": span.error} if span.error else {}
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=None if span.parent_id is None else _context(span.trace_id, span.parent_id),
        resource=resource,
        attributes={**span.attributes, **error},
        events=[
            Event(event.name, attributes=dict(event.attributes), timestamp=event.at_ms * NS) for event in span.events
        ],
        kind=SpanKind.CLIENT,
        status=status,
        start_time=span.begin_ms * NS,
        end_time=span.end_ms * NS,
        instrumentation_scope=scope,
    )


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
