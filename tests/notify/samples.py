"""Notices, messages and settings for tests.

Kept apart because all tests of the folder use them.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from console.config.settings import NotifySettings
from console.domain.notice import Notice, NoticeKind
from console.notify.message import NoticeMessage, NoticeSource, message_of

ZONE = ZoneInfo("Europe/Berlin")
NOON = 1_795_431_600_000
"""2026-11-23 12:00 in Berlin, in UTC milliseconds."""
SOURCE = NoticeSource(host="web1", ledger="prod")
USE = NotifySettings(command=("true",))


def notice(kind: NoticeKind, subject: str = "1", *, ending: bool = False) -> Notice:
    """A notice whose text is its kind and subject."""
    return Notice(kind=kind, subject=subject, text=f"{kind.word} {subject}", is_ending=ending)


def message(*notices: Notice) -> NoticeMessage:
    """A message with these notices, or with one of an unconfirmed run."""
    return message_of(notices or (notice(NoticeKind.UNCONFIRMED),), source=SOURCE, at_ms=NOON)
