"""Where spans are sent: an address, the headers that it asks for, and what its answer means."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from enum import Enum
from urllib.parse import unquote, urlsplit

from console.config.settings import OtelSettings
from console.domain.text import sanitize
from console.provider.http.post import PostFailed, post_once

HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
"""Where OpenTelemetry keeps the headers, and where they are looked for if the config names no variable."""
HEADERS_ACCEPTED = "NAME=VALUE,NAME=VALUE, with the values percent-encoded"
MISSING = "opentelemetry is not installed; install nightdesk with its extra `otel`"
DEADLINE_S = 10.0
"""How long one request may take."""
MOST_ANSWER = 64 << 10
"""Bytes of an answer that are read."""
OURS = frozenset({"host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection"})
REFUSED = frozenset({400, 413, 422})
"""Answers that the same spans would get again. After all others they are sent again: a key may be put right."""
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e]{0,8000}", re.ASCII)


class Fate(Enum):
    """What became of a request."""

    TAKEN = "taken"
    REFUSED = "refused"
    """The receiver does not want these spans."""
    LATER = "later"
    """Another try may work."""


class OtlpReceiver:
    """The receiver that the config names."""

    def __init__(self, use: OtelSettings, environment: Mapping[str, str], *, deadline_s: float = DEADLINE_S) -> None:
        """`use` has an endpoint. Raises ValueError, in one line, for headers that cannot be used."""
        self._url = use.endpoint or ""
        self._headers = read_headers(use, environment)
        self._deadline_s = deadline_s
        self.name = sanitize(urlsplit(self._url).netloc, limit=80)

    async def send(self, content: bytes) -> tuple[Fate, str, bytes]:
        """Post `content` once: what became of it, why in words without secrets, and the beginning of the answer."""
        try:
            answer = await post_once(
                self._url,
                content,
                deadline_s=self._deadline_s,
                content_type="application/x-protobuf",
                headers=self._headers,
                most_body=MOST_ANSWER,
            )
        except PostFailed as error:
            return Fate.LATER, str(error), b""
        if 200 <= answer.status < 300:
            return Fate.TAKEN, "", answer.body
        return Fate.REFUSED if answer.status in REFUSED else Fate.LATER, f"answered {answer.status}", b""


def is_installed() -> bool:
    """True where the extra `otel` is there."""
    needed = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.common")
    try:
        return all(importlib.util.find_spec(name) is not None for name in needed)
    except ModuleNotFoundError:
        return False


def read_headers(use: OtelSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers in the environment. Raises ValueError, in one line that quotes no value."""
    name = use.headers_env or HEADERS_VARIABLE
    text = environment.get(name)
    if text is None and use.headers_env is not None:
        raise ValueError(f"the environment variable {name}, which otel.headers_env names, is not set")
    found: dict[str, str] = {}
    for number, part in enumerate(filter(str.strip, (text or "").split(",")), start=1):
        header, equals, value = part.partition("=")
        header, value = header.strip(), unquote(value.strip())
        if not equals or not _NAME.fullmatch(header) or not _VALUE.fullmatch(value) or header.lower() in OURS:
            raise ValueError(f"header {number} in {name} cannot be used; accepted: {HEADERS_ACCEPTED}")
        found[header] = value
    return found
