"""Check the base URL: key and prompt go to one https host, or to this machine by a literal loopback address."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from urllib.parse import SplitResult, quote, urlsplit

from console.domain.text import sanitize

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_URL = re.compile(r"[\x21-\x5b\x5d-\x7e]+")
"""Printable ASCII except the backslash, on which URL parsers disagree."""

ACCEPTED = "https://HOST, or http:// with a loopback address (127.x.y.z or [::1])"
"""What `service_root` accepts, for messages."""


def service_root(base_url: str, api_version: str) -> str:
    """Return the root of all calls, `https://host/v1beta`, without a slash at its end.

    Plain http is accepted for loopback literals only, since any DNS name, even `localhost`, may lead elsewhere. Raises
    ValueError with one line that names what is accepted.
    """
    if _VERSION.fullmatch(api_version) is None:
        raise ValueError(f"api_version {sanitize(api_version, limit=40)!r}: expected a word such as v1beta or v1")
    if (secret := _secret_part(base_url)) is not None:
        raise ValueError(f"base_url holds {secret}; expected {ACCEPTED}")
    if _URL.fullmatch(base_url) is None:
        raise ValueError(f"base_url {sanitize(base_url, limit=80)!r}: expected {ACCEPTED}")
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise ValueError(f"base_url {sanitize(base_url, limit=80)!r}: not a URL; expected {ACCEPTED}") from None
    _check(parts)
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    place = named if port is None else f"{named}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}/{api_version}"


PROXY_ACCEPTED = "http://HOST:PORT or https://HOST:PORT, without a user name"
"""What `proxy_address` accepts, for messages."""


def proxy_address(url: str) -> str:
    """Return the URL of an HTTP proxy without a slash at its end. Raises ValueError with the bare complaint."""
    if (secret := _secret_part(url)) is not None:
        raise ValueError(f"contains {secret}")
    shown = f'"{sanitize(url, limit=60)}"'
    if _URL.fullmatch(url) is None:
        raise ValueError(f"{shown} is not a URL")
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        raise ValueError(f"{shown} is not a URL") from None
    if parts.scheme not in ("http", "https") or not has_port or parts.path not in ("", "/"):
        raise ValueError(f"{shown} is not the address of a proxy")
    if not _is_host(parts.hostname or ""):
        raise ValueError(f"{shown} is not the address of a proxy")
    return url.removesuffix("/")


WEBHOOK_ACCEPTED = "an https:// address, or http:// with a loopback address (127.x.y.z or [::1])"
"""What `webhook_address` accepts, for messages."""


def webhook_address(url: str, *, what: str = "a webhook") -> str:
    """Return the address of a webhook. Its path and its query may be a secret, so that no complaint quotes it.

    Raises ValueError with the bare complaint, which calls it `what`.
    """
    if "@" in url:
        raise ValueError("contains a user name or password")
    try:
        parts = urlsplit(url)
        is_url = _URL.fullmatch(url) is not None and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url or parts.scheme not in ("http", "https") or not _is_host(parts.hostname or ""):
        raise ValueError(f"is not the address of {what}")
    if parts.scheme == "http" and not _is_loopback(_literal(parts.hostname or "")):
        raise ValueError("would be sent in the clear")
    return url


OTLP_PATH = "/v1/traces"


def otlp_address(url: str) -> str:
    """Return the address to which spans are posted: `url` with `/v1/traces` at its end, as OpenTelemetry has it.

    Raises ValueError with the bare complaint.
    """
    if (secret := _secret_part(url)) is not None:
        raise ValueError(f"contains {secret}")
    root = webhook_address(url, what="a receiver of spans").rstrip("/")
    return root if root.endswith(OTLP_PATH) else root + OTLP_PATH


def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None or isinstance(_literal(host), IPv6Address)


def _secret_part(url: str) -> str | None:
    """Name the part of a URL, even of a malformed one, that may be a secret and must not be quoted; None for none."""
    if "@" in url:
        return "a user name or password"
    return "a query or a fragment" if "?" in url or "#" in url else None


def _check(parts: SplitResult) -> None:
    host = parts.hostname or ""
    literal = _literal(host)
    if not _is_host(host):
        raise ValueError(f"base_url names no host; expected {ACCEPTED}")
    if parts.scheme == "https":
        return
    if parts.scheme != "http" or not _is_loopback(literal):
        shown = sanitize(f"{parts.scheme}://{host}", limit=80)
        raise ValueError(f"base_url {shown} would send the API key in the clear; expected {ACCEPTED}")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(literal: IPv4Address | IPv6Address | None) -> bool:
    return literal == IPv6Address("::1") or (isinstance(literal, IPv4Address) and literal in IPv4Network("127.0.0.0/8"))


def escaped(opaque_id: str) -> str:
    """Return an id as one path segment. Raises ValueError for an id that cannot be one: empty, or only dots."""
    if not opaque_id.strip("."):
        raise ValueError("an id is neither empty nor only dots")
    return quote(opaque_id, safe="", errors="replace")
