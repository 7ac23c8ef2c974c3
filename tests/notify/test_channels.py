"""Messages leave by a command, a webhook and apprise; no failure quotes an address, and no command gets a key."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

from console.config.settings import NotifySettings
from console.domain.notice import NoticeKind
from console.notify.channels import (
    AppriseChannel,
    Channel,
    CommandChannel,
    DeliveryFailed,
    WebhookChannel,
    make_channels,
)
from console.notify.delivery import attempt
from tests.notify.receiver import ReplyMode, receiving
from tests.notify.samples import message, notice
from tests.waiting import until

needs_apprise = pytest.mark.skipif(importlib.util.find_spec("apprise") is None, reason="apprise is optional")
HERE = {"PATH": os.environ["PATH"], "GEMINI_API_KEY": "canary-key", "HOME": "/nowhere"}


async def failure(channel: Channel) -> DeliveryFailed:
    failed = await attempt(channel, message())
    assert failed is not None
    return failed


async def test_a_webhook_gets_one_json_object() -> None:
    many = [notice(NoticeKind.CUT_OFF, str(number), ending=True) for number in range(12)]
    async with receiving() as receiver:
        assert await attempt(WebhookChannel(receiver.url), message(*many, notice(NoticeKind.UNCONFIRMED))) is None
    (body,) = receiver.bodies
    assert body["version"] == 1
    assert (body["kind"], body["host"], body["ledger"]) == ("unconfirmed", "web1", "prod")
    assert body["title"] == "nightdesk prod@web1: unconfirmed"
    assert body["text"].splitlines()[0] == "unconfirmed 1"
    assert body["text"].splitlines()[-1] == "and 3 more"
    assert (len(body["notices"]), body["count"]) == (10, 13)
    assert receiver.heads[0].startswith("POST /hook/canary-token?key=canary-query ")


@pytest.mark.parametrize(
    ("mode", "why", "is_final"),
    [
        (ReplyMode.HANGS, "no answer within 0.3 s", False),
        (ReplyMode.REFUSES, "answered 400", True),
        (ReplyMode.BREAKS, "answered 503", False),
        (ReplyMode.REDIRECTS, "answered 302", True),
        (ReplyMode.CLOSES, "no answer: broken", False),
    ],
)
async def test_a_webhook_that_does_not_take_a_message(mode: ReplyMode, why: str, is_final: bool) -> None:
    async with receiving(mode) as receiver:
        failed = await failure(WebhookChannel(receiver.url, deadline_s=0.3))
    assert (str(failed), failed.is_final) == (why, is_final)
    assert receiver.connections == 1


async def test_a_webhook_that_floods_has_taken_the_message_and_is_not_read() -> None:
    async with receiving(ReplyMode.FLOODS) as receiver:
        assert await attempt(WebhookChannel(receiver.url, deadline_s=5), message()) is None


async def test_a_webhook_where_nobody_listens() -> None:
    async with receiving() as receiver:
        pass
    assert str(await failure(WebhookChannel(receiver.url))) == "no answer: not connected"


async def test_no_name_and_no_failure_quotes_an_address() -> None:
    channel = WebhookChannel("https://127.0.0.1:1/canary-token?key=canary-query")
    assert channel.name == "webhook 127.0.0.1:1"
    assert "canary" not in f"{channel.name} {await failure(channel)} {NotifySettings(webhook='https://x/canary')!r}"


def a_program(folder: Path, body: str) -> str:
    """A script that the Python of the tests runs."""
    path = folder / "hook"
    path.write_text(f"#!{sys.executable}\nimport json, os, pathlib, signal, sys\n{body}\n", encoding="utf-8")
    path.chmod(0o700)
    return str(path)


async def test_a_command_gets_the_message_and_no_key(tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = "{'env': dict(os.environ), 'in': json.load(sys.stdin), 'args': sys.argv[1:], 'cwd': os.getcwd()}"
    hook = a_program(tmp_path, f"pathlib.Path({str(out)!r}).write_text(json.dumps({told}))")
    assert await attempt(CommandChannel((hook, "a b", "$HOME"), HERE), message()) is None
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["args"] == ["a b", "$HOME"], "no shell"
    assert found["in"]["kind"] == found["env"]["NIGHTDESK_KIND"] == "unconfirmed"
    assert found["env"]["HOME"] == "/nowhere"
    assert found["cwd"] == "/"
    assert "canary-key" not in json.dumps(found)


async def test_a_command_that_fails(tmp_path: Path) -> None:
    assert str(await failure(CommandChannel((a_program(tmp_path, "sys.exit(3)"),), HERE))) == "ended with 3"


async def test_a_command_that_hangs_is_killed(tmp_path: Path) -> None:
    channel = CommandChannel((a_program(tmp_path, "signal.pause()"),), HERE, deadline_s=0.5)
    assert str(await failure(channel)) == "has not ended after 0.5 s and was killed"


async def test_a_command_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    out = tmp_path / "pid"
    body = f"pathlib.Path({str(out)!r}).write_text(str(os.fork() or os.getpid())); signal.pause()"
    sending = asyncio.create_task(attempt(CommandChannel((a_program(tmp_path, body),), HERE, deadline_s=60), message()))
    await until(lambda: out.exists() and out.read_text())
    sending.cancel()
    await asyncio.wait({sending})
    await until(lambda: not _lives(int(out.read_text())))


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


async def test_a_command_that_is_not_there() -> None:
    failed = await failure(CommandChannel(("/nowhere/hook",), HERE))
    assert (str(failed), failed.is_final) == ("cannot be started: No such file or directory", True)


async def test_a_command_that_does_not_read_its_input(tmp_path: Path) -> None:
    assert await attempt(CommandChannel((a_program(tmp_path, "os.close(0)"),), HERE), message()) is None


@needs_apprise
async def test_apprise_sends_in_a_process_of_its_own() -> None:
    async with receiving() as receiver:
        assert await attempt(AppriseChannel((f"json://127.0.0.1:{receiver.port}/",), HERE), message()) is None
    assert receiver.bodies[0]["title"] == "nightdesk prod@web1: unconfirmed"
    assert "apprise" not in sys.modules


@needs_apprise
async def test_apprise_says_which_kind_of_failure_it_was() -> None:
    failed = await failure(AppriseChannel(("canary-nonsense://",), HERE))
    assert (str(failed), failed.is_final) == ("an address is not one that apprise knows", True)
    async with receiving(ReplyMode.BREAKS) as receiver:
        failed = await failure(AppriseChannel((f"json://127.0.0.1:{receiver.port}/",), HERE))
    assert (str(failed), failed.is_final) == ("one of its services did not take the message", False)


def test_channels_are_made_from_the_config_and_files_of_ours(tmp_path: Path) -> None:
    hooks, services = tmp_path / "hooks", tmp_path / "services"
    hooks.write_text("# one line each\nhttps://a.example/x\n\nhttp://127.0.0.1:1/y\n", encoding="utf-8")
    services.write_text("mailto://someone\n", encoding="utf-8")
    for path in (hooks, services):
        path.chmod(0o600)
    use = NotifySettings(command=("true",), webhook="https://b.example", webhook_file=hooks, apprise_file=services)
    names = [channel.name for channel in make_channels(use, HERE)]
    assert names == ["command true", "webhook b.example", "webhook a.example", "webhook 127.0.0.1:1", "apprise"]
    assert make_channels(NotifySettings(), HERE) == ()


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        ("https://x.example/canary", 0o644, "has mode 0644"),
        ("# none\n", 0o600, "holds no address"),
        ("http://x.example/canary", 0o600, "an address would be sent in the clear"),
        ("https://me:canary@x.example/", 0o600, "an address contains a user name or password"),
        ("nonsense canary", 0o600, "an address is not the address of a webhook"),
    ],
)
def test_a_file_with_addresses_that_cannot_be_used(tmp_path: Path, content: str, mode: int, why: str) -> None:
    path = tmp_path / "hooks"
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    with pytest.raises(ValueError, match=why) as caught:
        make_channels(NotifySettings(webhook_file=path), HERE)
    assert "canary" not in str(caught.value)


async def test_whatever_a_channel_raises_is_a_failure() -> None:
    class Broken:
        name = "broken"

        async def send(self, _message: object) -> None:
            raise RuntimeError("boom")

    assert str(await failure(Broken())) == "RuntimeError: boom"
