"""Sandbox calls return an id or a clear error; a reply about the call itself never means that a sandbox is gone."""

from __future__ import annotations

import json

import pytest

from console.provider.contract import Denied, ProviderError, Unavailable, Unsupported
from tests.provider.examples import answering, error_new, error_old, order, provider
from tests.provider.test_service_client import NO_METHOD, NO_THING, Service


async def test_a_sandbox_is_made() -> None:
    service = Service((200, {"id": "3f6e0c", "status": "active"}))
    adapter = provider(service)
    assert await adapter.prepare(order()) == "3f6e0c"
    assert await adapter.prepare(order(network='{"allowlist":[]}')) == "3f6e0c"
    assert service.asked == ["POST environments"] * 2
    assert [json.loads(request.content) for request in service.requests] == [{}, {"network": {"allowlist": []}}]


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, NO_METHOD), (405, b""), (501, b""), (501, error_new("unimplemented", "No."))],
)
async def test_a_service_without_sandboxes(status: int, body: bytes) -> None:
    with pytest.raises(Unsupported):
        await provider(answering(status, body)).prepare(order())


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", {"id": ""}, {"id": 7}, {"id": "a b"}])
async def test_a_reply_without_the_id_of_a_sandbox_is_an_error(body: object) -> None:
    with pytest.raises(Unavailable, match="HTTP 200"):
        await provider(answering(200, body)).prepare(order())


async def test_a_network_setting_that_is_not_json_is_not_sent() -> None:
    service = Service((200, {"id": "x"}))
    with pytest.raises(ProviderError, match="not JSON"):
        await provider(service).prepare(order(network="{"))
    assert service.asked == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, NO_METHOD, Unsupported),
        (405, b"", Unsupported),
        (403, error_old(403), Denied),
        (501, b"", Unavailable),
    ],
)
async def test_a_reply_that_is_not_about_the_sandbox(status: int, body: bytes, kind: type[ProviderError]) -> None:
    with pytest.raises(kind):
        await provider(answering(status, body)).discard("e1")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b""), (200, b"{}"), (204, b""), (404, NO_THING), (404, b""), (410, b"")]
)
async def test_a_sandbox_is_deleted_or_gone_already(status: int, body: bytes) -> None:
    service = Service((status, body))
    await provider(service).discard("e1")
    assert service.asked == ["DELETE environments/e1"]
