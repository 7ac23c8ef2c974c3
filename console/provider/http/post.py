"""One POST of a small JSON body to an address that the operator named: no key, no retries, no redirects.

Messages to people leave by it. The environment (HTTPS_PROXY, SSL_CERT_FILE, …) is ignored, as for the service.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from pathlib import Path

import certifi
import httpx

from console import __version__
from console.provider.http.clients import tls_context
from console.provider.http.exchange import classify_failure


class PostFailed(Exception):
    """There was no complete answer. `str()` is one line without the address."""


async def post_once(url: str, body: bytes, *, deadline_s: float) -> int:
    """Post `body` to `url` once and return the status of the answer, within `deadline_s` seconds; its body is not read.

    Raises PostFailed.
    """
    transport = httpx.AsyncHTTPTransport(
        verify=tls_context(None) if url.startswith("http:") else _trusting(),
        http2=False,
        trust_env=False,
        retries=0,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
    )
    client = httpx.AsyncClient(
        transport=transport, trust_env=False, follow_redirects=False, timeout=httpx.Timeout(deadline_s)
    )
    headers = {"user-agent": f"nightdesk/{__version__}", "content-type": "application/json", "connection": "close"}
    try:
        request = client.build_request("POST", url, content=body, headers=headers)
    except (httpx.InvalidURL, ValueError):
        raise PostFailed("the address cannot be used") from None
    status: int | None = None
    try:
        async with asyncio.timeout(deadline_s), client:
            response = await client.send(request, stream=True)
            status = response.status_code
            await response.aclose()
    except TimeoutError:
        why = f"no answer within {deadline_s:.3g} s"
    except Exception as error:  # of the HTTP library, which has many kinds; their texts may quote the address
        why = f"no answer: {classify_failure(error).kind}"
    if status is None:
        raise PostFailed(why)
    return status


@cache
def _trusting() -> ssl.SSLContext:
    """Made once, as loading the certificates takes 35 ms."""
    return tls_context(Path(certifi.where()))
