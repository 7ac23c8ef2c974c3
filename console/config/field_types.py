"""Types of config values beyond the ones that msgspec knows: what each accepts, and how it is converted.

Each type is an ordinary one, annotated with the `Rule` by which it is read from the file. Numbers are read as the
decimals that were written and not as binary fractions: 0.1 s is exactly 100 ms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from cronsim import CronSim, CronSimError

from console.domain.key import TARGET_ACCEPTED, check_target
from console.domain.notice import NoticeKind
from console.domain.text import sanitize
from console.provider.http.address import (
    ACCEPTED,
    PROXY_ACCEPTED,
    WEBHOOK_ACCEPTED,
    otlp_address,
    proxy_address,
    service_root,
    webhook_address,
)
from console.store.fleet_settings import URL_ACCEPTED, check_url

UNLIMITED = "unlimited"
"""The word for a cap without a limit."""


class UnknownWord(ValueError):
    """An unknown word; `near` is the known one that was probably meant."""

    def __init__(self, complaint: str, near: str | None) -> None:
        super().__init__(complaint)
        self.near = near


@dataclass(frozen=True, slots=True)
class Rule:
    """How a value of one type is read from the file."""

    accepted: str
    """What is accepted, for messages."""
    read: Callable[[object], Any]
    """Converts the value. Raises ValueError with a complaint to follow the name of the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSchedule:
    """A cron expression of five fields that has a next time."""

    expression: str
    repeats_in_a_day: bool


def rule_of(annotation: Any) -> Rule | None:
    """Return the rule of a type, or of the type beside None; None for a type that msgspec reads itself."""
    if get_origin(annotation) in (Union, UnionType):
        return next((rule for part in get_args(annotation) if (rule := rule_of(part)) is not None), None)
    return next((meta for meta in getattr(annotation, "__metadata__", ()) if isinstance(meta, Rule)), None)


def accepted_by(annotation: Any) -> str:
    """Say what a field of that type accepts."""
    if (rule := rule_of(annotation)) is not None:
        return rule.accepted
    if get_origin(annotation) in (Union, UnionType):
        return accepted_by(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) is Annotated:
        return next(str(meta.description) for meta in get_args(annotation)[1:] if isinstance(meta, msgspec.Meta))
    return "true or false"


def read_decimal(value: object, *, places: int, least: str, most: str) -> int:
    """Return a decimal as an integer count of 10^-`places`. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"is {described(value)}")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"is {str(value).lower()}")
    if not Decimal(least) <= number <= Decimal(most):
        raise ValueError(f"{value} is out of range")
    # A number within the range has few digits, so the scaling is exact.
    scaled = number.scaleb(places)
    if scaled != scaled.to_integral_value():
        shown = sanitize(str(value), limit=40)
        if not places:
            raise ValueError(f"{shown} is not a whole number")
        raise ValueError(f"{shown} has more than {places} digits after the decimal point")
    return int(scaled)


def _read_cap(value: object, *, places: int, most: str) -> int | None:
    if value == UNLIMITED:
        return None
    if isinstance(value, str):
        near = UNLIMITED if nearest(value.lower(), [UNLIMITED]) else None
        raise UnknownWord(f"is {quoted(value)}", near)
    return read_decimal(value, places=places, least="0", most=most)


def _read_text(value: object, convert: Callable[[str], Any]) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"is {described(value)}")
    return convert(value)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    # ZoneInfo reads a file of that name; it may also find a folder, or the name may be too long.
    except (KeyError, ValueError, OSError):
        raise UnknownWord(f"{quoted(name)} is not a known time zone", _near_zone(name)) from None
    return name


SHORT_ZONES = {
    "CET": "Europe/Berlin",
    "CEST": "Europe/Berlin",
    "BST": "Europe/London",
    "WEST": "Europe/Lisbon",
    "EEST": "Europe/Athens",
    "EDT": "America/New_York",
    "CDT": "America/Chicago",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
}
"""Abbreviations that are no zones, with a zone in which they are used: which one is meant, only the reader knows."""


def _near_zone(name: str) -> str | None:
    """The zone that was probably meant. An abbreviation never leads to another abbreviation, which is another time."""
    if name.upper() in SHORT_ZONES:
        return SHORT_ZONES[name.upper()]
    return nearest(name, (zone for zone in available_timezones() if "/" in zone or zone == "UTC"))


MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0"}
"""Words of other crons, with what to write for them."""


def _schedule(expression: str) -> CronSchedule:
    if expression.strip() in MACROS:
        raise UnknownWord(f"{quoted(expression)} is not supported", MACROS[expression.strip()])
    fields = len(expression.split())
    if fields != 5:
        raise ValueError(f"{quoted(expression)} has {fields} field{'' if fields == 1 else 's'}")
    try:
        cron = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
        next(cron)
    except CronSimError as error:
        raise ValueError(f"{quoted(expression)} has a {str(error).lower()}") from None
    except StopIteration:
        raise ValueError(f"{quoted(expression)} never fires") from None
    return CronSchedule(
        expression=" ".join(expression.split()), repeats_in_a_day=len(cron.minutes) * len(cron.hours) > 1
    )


def _base_url(url: str) -> str:
    try:
        service_root(url, "v1")
    except ValueError as error:
        # The message names the key and what is accepted, which every error of a config file adds anyway.
        raise ValueError(re.split(r"[;:] (?:not a URL; )?expected", str(error))[0].removeprefix("base_url ")) from None
    return url.rstrip("/")


def _env_name(name: str) -> str:
    # The value is never quoted: it may be the key itself, pasted in place of the name.
    if name.startswith("AIza") or (len(name) > 20 and "_" not in name and not name.isupper()):
        raise ValueError("looks like the key itself")
    if re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name) is None:
        raise ValueError("is not such a name")
    return name


def _minute_of_day(text: str) -> int:
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if found is None:
        raise ValueError(f"{quoted(text)} is no time of the day")
    return int(found[1]) * 60 + int(found[2])


def _hours(text: str) -> tuple[int, int]:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash:
        raise ValueError(f"{quoted(text)} is not two times of the day")
    bounds = _minute_of_day(first), _minute_of_day(last)
    if bounds[0] == bounds[1]:
        raise ValueError(f"{quoted(text)} begins when it ends")
    return bounds


def _read_notices(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(
            "is a list of other things than texts" if isinstance(value, list) else f"is {described(value)}"
        )
    for word in value:
        if word not in NOTICES:
            raise UnknownWord(f"{quoted(word)} is not a kind of notice", nearest(word, NOTICES))
    return frozenset(value)


def _read_command(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(
            "is a list of other things than texts" if isinstance(value, list) else f"is {described(value)}"
        )
    if not value or not value[0] or len(value) > 64 or any("\0" in word for word in value):
        raise ValueError("is not a program and its arguments")
    return tuple(value)


def _text_rule(accepted: str, convert: Callable[[str], Any]) -> Rule:
    return Rule(accepted, partial(_read_text, convert=convert))


Seconds = Annotated[
    int,
    Rule(
        "seconds from 1 to 2592000, fractions allowed",
        partial(read_decimal, places=3, least="1", most="2592000"),
    ),
]
"""A duration, stored in milliseconds."""
PollSeconds = Annotated[
    int,
    Rule(
        "seconds from 0.1 to 300, fractions allowed",
        partial(read_decimal, places=3, least="0.1", most="300"),
    ),
]
"""A poll interval, stored in milliseconds."""
UnitCount = Annotated[
    int,
    Rule(
        "units from 0.001 to 10^12, with up to 3 digits after the decimal point",
        partial(read_decimal, places=3, least="0.001", most="1000000000000"),
    ),
]
"""The budget of one launch, stored in milli-units."""
Weight = Annotated[
    int,
    Rule(
        "a number from 0 to 1, with up to 3 digits after the decimal point",
        partial(read_decimal, places=3, least="0", most="1"),
    ),
]
"""A weight, stored in thousandths."""
Money = Annotated[
    int,
    Rule(
        "an amount of money from 0 to 1000000, with up to 6 digits after the decimal point",
        partial(read_decimal, places=6, least="0", most="1000000"),
    ),
]
"""A price, stored in millionths of a currency unit."""
UnitCap = Annotated[
    int | None,
    Rule(
        'units from 0 to 10^12, with up to 3 digits after the decimal point, or "unlimited"',
        partial(_read_cap, places=3, most="1000000000000"),
    ),
]
"""A cap in milli-units; None means unlimited."""
RunCap = Annotated[
    int | None,
    Rule('a whole number from 0 to 100000, or "unlimited"', partial(_read_cap, places=0, most="100000")),
]
"""A cap in launches; None means unlimited."""
Zone = Annotated[str, _text_rule("a time zone such as Europe/Berlin or UTC", _zone)]
"""The name of a time zone known to this system."""
Schedule = Annotated[CronSchedule, _text_rule('cron with five fields, such as "0 3 * * *"', _schedule)]
Target = Annotated[str, _text_rule(TARGET_ACCEPTED, check_target)]
"""The target of a task, checked as any other target is."""
BaseUrl = Annotated[str, _text_rule(ACCEPTED, _base_url)]
"""The base URL of the service: https, except on this machine itself."""
ENV_NAME_ACCEPTED = "the NAME of an environment variable, in capital letters; never the key itself"
EnvName = Annotated[str, _text_rule(ENV_NAME_ACCEPTED, _env_name)]
"""The name of an environment variable that holds a secret."""
ProxyUrl = Annotated[str, _text_rule(PROXY_ACCEPTED, proxy_address)]
"""The address of an HTTP proxy."""


NOTICES = tuple(kind.word for kind in NoticeKind)
"""The kinds of notices by their words."""
Notices = Annotated[frozenset[str], Rule(f"a list out of {', '.join(NOTICES)}", _read_notices)]
"""Kinds of notices."""
Command = Annotated[
    tuple[str, ...], Rule('a list of texts, the program and its arguments, such as ["/usr/bin/logger"]', _read_command)
]
"""A program and its arguments; no shell reads them."""
WebhookUrl = Annotated[str, _text_rule(WEBHOOK_ACCEPTED, webhook_address)]
"""The address of a webhook."""
DatabaseUrl = Annotated[str, _text_rule(URL_ACCEPTED, check_url)]
"""The address of a PostgreSQL database, without a password."""
OtlpUrl = Annotated[str, _text_rule(WEBHOOK_ACCEPTED, otlp_address)]
"""The address of a receiver of spans; `/v1/traces` is added."""
Minute = Annotated[int, _text_rule('a time of the day such as "08:00"', _minute_of_day)]
"""A time of the day, in minutes from midnight."""
Hours = Annotated[tuple[int, int], _text_rule('two times of the day such as "22:00-07:00"', _hours)]
"""From and to, in minutes from midnight; over midnight if the second is earlier."""
Debounce = Annotated[
    int,
    Rule("seconds from 0 to 86400, fractions allowed", partial(read_decimal, places=3, least="0", most="86400")),
]
"""A shortest distance between messages, stored in milliseconds."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None."""
    import difflib  # imported late: only a file with errors needs it

    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def quoted(text: str) -> str:
    """Return `text` from the file in quotes, sanitized and shortened."""
    return f'"{sanitize(text, limit=60)}"'


def described(value: object) -> str:
    """Describe a value without quoting text, which may be a secret: `a text`, `a list`, `5`."""
    match value:
        case bool():
            return str(value).lower()
        case int() | Decimal():
            return sanitize(str(value), limit=40)
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"
