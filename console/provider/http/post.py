"""One POST of a small body to an address that the operator named: no key, no retries, no redirects.

Messages to people and spans leave by it. The environment (HTTPS_PROXY, SSL_CERT_FILE, …) is ignored, as for the
service.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import certifi
import httpx

from console import __version__
from console.provider.http.client import Client
from console.provider.http.clients import tls_context
from console.provider.http.exchange import classify_failure
from console.provider.http.transport import OneConnection


class PostFailed(Exception):
    """There was no complete answer. `str()` is one line without the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAnswer:
    """What came back."""

    status: int
    body: bytes
    """Its first bytes, as many as were asked for."""


async def post_once(
    url: str,
    body: bytes,
    *,
    deadline_s: float,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    most_body: int = 0,
) -> PostAnswer:
    """Post `body` to `url` once, within `deadline_s` seconds; of the answer `most_body` bytes are read.

    `headers` are sent on top. Raises PostFailed.
    """
    transport = OneConnection(tls_context(None) if url.startswith("http:") else _trusting(), keep_s=0.0)
    own = {"user-agent": f"nightdesk/{__version__}", "content-type": content_type, "connection": "close"}
    client = Client(transport, headers={"accept": "*/*"}, read_s=deadline_s, connect_s=deadline_s)
    try:
        request = client.build_request("POST", url, content=body, headers={**(headers or {}), **own})
    except (httpx.InvalidURL, ValueError):
        raise PostFailed("the address cannot be used") from None
    answer: PostAnswer | None = None
    try:
        async with asyncio.timeout(deadline_s), client:
            response = await client.send(request)
            answer = PostAnswer(status=response.status_code, body=b"")
            answer = PostAnswer(status=response.status_code, body=await _beginning(response, most_body))
            await response.aclose()
    except TimeoutError:
        why = f"no answer within {deadline_s:.3g} s"
    except Exception as error:  # of the HTTP library, which has many kinds; their texts may quote the address
        why = f"no answer: {classify_failure(error).kind}"
    if answer is None:
        raise PostFailed(why)
    return answer


async def _beginning(response: httpx.Response, most: int) -> bytes:
    """The first `most` bytes of the body as they are sent; none of them are unpacked."""
    found = b""
    if most:
        async for part in response.aiter_raw():
            found += part
            if len(found) >= most:
                break
    return found[:most]


@cache
def _trusting() -> ssl.SSLContext:
    """Made once, as loading the certificates takes 35 ms."""
    return tls_context(Path(certifi.where()))
