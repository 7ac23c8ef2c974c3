"""No key and no prompt in what an adapter raises, returns or logs, of every service, whatever the service answers."""

from __future__ import annotations

import asyncio
import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

import pytest

from console.provider.contract import LostLaunch, Provider
from tests.provider import servers
from tests.provider.contract.services import LABELS, SERVICES, Service
from tests.provider.examples import KEY, PROMPT, order, quick
from tests.provider.test_canary import assert_clean, failure, richly_shown, shown
from tests.provider.test_network import FAULTS
from tests.waiting import until

ID = "one_2"
LOST = LostLaunch(prepared_id=ID, labels=LABELS, sent_ms=0)


async def follow(provider: Provider) -> None:
    async for _ in provider.follow(ID):
        pass


def calls(service: Service) -> dict[str, Callable[[Provider], Awaitable[object]]]:
    """Each call of the port that this service has."""
    asked = order(**{"prompt": PROMPT, "labels": LABELS, **service.order, "prepared_id": ID})
    return {
        "create": lambda one: one.create(asked),
        "get": lambda one: one.get(ID),
        "cancel": lambda one: one.cancel(ID),
        "prepare": lambda one: one.prepare(asked),
        "prepared_exists": lambda one: one.prepared_exists(ID),
        "discard": lambda one: one.discard(ID),
        "resolve": lambda one: one.resolve(LOST),
        "unstarted": lambda one: one.unstarted(),
        "review": lambda one: one.review(asked),
        "follow": follow,
    }


async def _tattle(reader: StreamReader, writer: StreamWriter) -> None:
    """Answer with an error that repeats everything received, key and prompt included."""
    request = (await servers.read_request(reader)).decode()
    text = (request[:300] + KEY + PROMPT).replace("\\", "").replace('"', "'").replace("\r\n", " ")
    body = f'{{"type":"error","error":{{"type":"permission_error","code":"denied","message":"{text}"}}}}'
    writer.write(servers.response(403, body.encode()))
    await writer.drain()


@pytest.mark.parametrize("fault", ["reset after the request", "half of the body", "no HTTP", "tattle", "refused"])
@pytest.mark.parametrize("service", SERVICES, ids=str)
async def test_no_failure_shows_key_or_prompt(service: Service, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    behaviour = _tattle if fault == "tattle" else FAULTS.get(fault, FAULTS["silent"])
    async with servers.serving(behaviour) as server:
        url = f"http://127.0.0.1:{servers.refusing_port()}" if fault == "refused" else server.url
        provider = service.adapter(url, quick(create_s=0.3, call_s=0.3))
        for name, call in calls(service).items():
            if name == "create":
                assert_clean(repr(await call(provider)))
            elif (error := await failure(call(provider))) is not None:
                assert_clean(shown(error) + repr(error) + str(error))
        assert_clean(repr(provider) + str(vars(provider)))
        await provider.aclose()
    assert_clean(caplog.text)
    assert caplog.records


@pytest.mark.parametrize("service", SERVICES, ids=str)
async def test_no_cancellation_shows_key_or_prompt(service: Service) -> None:
    for name, call in calls(service).items():
        heard = asyncio.Event()

        async def behave(reader: StreamReader, writer: StreamWriter, heard: asyncio.Event = heard) -> None:
            await servers.read_request(reader)
            heard.set()
            await servers.until_the_client_leaves(reader)

        async with servers.serving(behave) as server:
            provider = service.adapter(server.url, quick())
            task = asyncio.ensure_future(failure(call(provider)))
            await until(lambda heard=heard, task=task: heard.is_set() or task.done())  # type: ignore[misc]  # bound early
            if task.done():
                await provider.aclose()
                continue  # the service has no such call
            task.cancel()
            error = await task
            assert isinstance(error, asyncio.CancelledError), name
            assert_clean(shown(error) + richly_shown(error))
            await provider.aclose()
