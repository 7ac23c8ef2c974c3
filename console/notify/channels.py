"""The ways by which a message leaves: a command, a webhook, and the services that apprise knows.

Nothing here sees an API key: a command gets an environment of its own. An address may be a secret, so that no error
quotes it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from console.config.settings import NotifySettings
from console.domain.text import sanitize
from console.notify.message import NoticeMessage
from console.provider.http.address import webhook_address
from console.provider.http.post import PostFailed, post_once
from console.trusted_files import OPEN_TO_OTHERS, Unreadable, read_bounded

DEADLINE_S = 15.0
"""How long one try may take, on every channel."""
MOST_ADDRESSES = 64 << 10
"""Bytes of a file with addresses."""
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""The variables that a command gets of those of this process."""
APPRISE_MISSING = "apprise is not installed; install nightdesk with its extra `notify`"
_APPRISE = Path(__file__).with_name("apprise_sender.py")


class DeliveryFailed(Exception):
    """A message was not taken. `str()` is one sanitized line without addresses."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        """`is_final` is true where another try would fail alike."""
        super().__init__(sanitize(why, limit=200))
        self.is_final = is_final


class Channel(Protocol):
    """One way by which messages leave."""

    @property
    def name(self) -> str:
        """What it is called in messages to the operator: `webhook hooks.example`. No secret is in it."""
        ...

    async def send(self, message: NoticeMessage) -> None:
        """Send `message` once, within `DEADLINE_S`. Raises DeliveryFailed."""
        ...


class CommandChannel:
    """Runs a program with the message as JSON on its standard input."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], *, deadline_s: float = DEADLINE_S) -> None:
        """`words` are the program and its arguments; no shell reads them."""
        self._deadline_s = deadline_s
        self._words = tuple(words)
        self._environment = environment
        self.name = f"command {sanitize(Path(words[0]).name, limit=40)}"

    async def send(self, message: NoticeMessage) -> None:
        own = {name: self._environment[name] for name in PASSED_ON if name in self._environment}
        about = {
            "NIGHTDESK_KIND": message.kind,
            "NIGHTDESK_TITLE": message.title,
            "NIGHTDESK_TEXT": message.text,
            "NIGHTDESK_LEDGER": message.source.ledger,
        }
        code = await _run(self._words, message.body(), {**own, **about}, self._deadline_s)
        if code:
            raise DeliveryFailed(f"ended with {code}")


class WebhookChannel:
    """Posts the message as JSON to one address."""

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S) -> None:
        """`url` is one that `webhook_address` accepts."""
        self._url = url
        self._deadline_s = deadline_s
        self.name = f"webhook {sanitize(urlsplit(url).netloc, limit=80)}"

    async def send(self, message: NoticeMessage) -> None:
        try:
            answer = await post_once(self._url, message.body(), deadline_s=self._deadline_s)
        except PostFailed as error:
            raise DeliveryFailed(str(error)) from None
        status = answer.status
        if not 200 <= status < 300:
            raise DeliveryFailed(f"answered {status}", is_final=status < 500 and status not in (408, 425, 429))


class AppriseChannel:
    """Hands the message to apprise, in a process of its own: it loads a hundred modules and may block."""

    name = "apprise"

    def __init__(self, urls: Sequence[str], environment: Mapping[str, str]) -> None:
        self._urls = tuple(urls)
        self._environment = environment

    async def send(self, message: NoticeMessage) -> None:
        if importlib.util.find_spec("apprise") is None:
            raise DeliveryFailed(APPRISE_MISSING, is_final=True)
        own = {name: self._environment[name] for name in PASSED_ON if name in self._environment}
        order = {"urls": self._urls, "title": message.title, "body": message.text}
        words = (sys.executable, "-P", str(_APPRISE))
        code = await _run(words, json.dumps(order).encode("ascii"), own, DEADLINE_S)
        if code == 2:
            raise DeliveryFailed("an address is not one that apprise knows", is_final=True)
        if code:
            raise DeliveryFailed("one of its services did not take the message")


def make_channels(use: NotifySettings, environment: Mapping[str, str]) -> tuple[Channel, ...]:
    """The channels of the config. Raises ValueError, in one line, for a file with addresses that cannot be used."""
    found: list[Channel] = []
    if use.command:
        found.append(CommandChannel(use.command, environment))
    if use.webhook is not None:
        found.append(WebhookChannel(use.webhook))
    if use.webhook_file is not None:
        found += [WebhookChannel(_checked(url, use.webhook_file)) for url in read_addresses(use.webhook_file)]
    if use.apprise_file is not None:
        found.append(AppriseChannel(read_addresses(use.apprise_file), environment))
    return tuple(found)


def read_addresses(path: Path) -> tuple[str, ...]:
    """The addresses in a file of ours that nobody else can read, one a line. Raises ValueError without quoting one."""
    shown = sanitize(str(path), limit=200)
    try:
        text = read_bounded(path, most=MOST_ADDRESSES, forbidden_mode=OPEN_TO_OTHERS).decode("utf-8")
    except Unreadable as error:
        accepted = "accepted: a file of yours with mode 0600, one address a line"
        raise ValueError(f"{shown}: the file {error}; {accepted}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{shown}: the file is not UTF-8") from None
    lines = [line.strip() for line in text.splitlines()]
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found:
        raise ValueError(f"{shown}: the file holds no address; accepted: one address a line")
    return found


def _checked(url: str, path: Path) -> str:
    try:
        return webhook_address(url)
    except ValueError as error:
        raise ValueError(f"{sanitize(str(path), limit=200)}: an address {error}") from None


async def _run(words: Sequence[str], content: bytes, environment: Mapping[str, str], deadline_s: float) -> int:
    """Run a program with `content` on its standard input and return its exit code; its output is dropped.

    After `deadline_s` its process group is killed. Raises DeliveryFailed.
    """
    nowhere = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=nowhere,
            stderr=nowhere,
            cwd="/",
            env=dict(environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = (
            error.strerror if isinstance(error, OSError) and error.strerror else "it holds a character that no path has"
        )
        raise DeliveryFailed(f"cannot be started: {why}", is_final=True) from None
    try:
        async with asyncio.timeout(deadline_s):
            await process.communicate(content)
    except TimeoutError:
        raise DeliveryFailed(f"has not ended after {deadline_s:.3g} s and was killed") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0
