"""Types of config values beyond the ones that msgspec knows: what each accepts, and how it is converted.

Numbers are read as the decimals that were written and not as binary fractions: 0.1 s is exactly 100 ms.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Self
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from console.domain.key import TARGET_ACCEPTED, check_target
from console.domain.text import sanitize
from console.provider.http.address import ACCEPTED, PROXY_ACCEPTED, proxy_address, service_root

UNLIMITED = "unlimited"
"""The word for a cap without a limit."""


class UnknownWord(ValueError):
    """An unknown word; `near` is the known one that was probably meant."""

    def __init__(self, complaint: str, near: str | None) -> None:
        super().__init__(complaint)
        self.near = near


class FieldType:
    """Base of the types below, which msgspec decodes through `read`."""

    __slots__ = ()
    accepted: ClassVar[str]
    """What is accepted, for messages."""

    @classmethod
    def read(cls, value: object) -> Self:
        """Convert the value from the file. Raises ValueError with the bare complaint."""
        raise NotImplementedError


class Number(FieldType):
    """A decimal, stored as an integer count of 10^-`places`."""

    __slots__ = ("scaled",)
    places: ClassVar[int]
    least: ClassVar[str]
    most: ClassVar[str]

    def __init__(self, scaled: int) -> None:
        self.scaled = scaled

    @classmethod
    def read(cls, value: object) -> Self:
        return cls(cls.scale(value))

    @classmethod
    def scale(cls, value: object) -> int:
        """Return `value` as an integer count of 10^-`places`. Raises ValueError."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError(f"is {described(value)}")
        number = Decimal(value)
        if not number.is_finite():
            raise ValueError(f"is {str(value).lower()}")
        if not Decimal(cls.least) <= number <= Decimal(cls.most):
            raise ValueError(f"{value} is out of range")
        # A number within the range has few digits, so the scaling is exact.
        scaled = number.scaleb(cls.places)
        if scaled != scaled.to_integral_value():
            shown = sanitize(str(value), limit=40)
            if not cls.places:
                raise ValueError(f"{shown} is not a whole number")
            raise ValueError(f"{shown} has more than {cls.places} digits after the decimal point")
        return int(scaled)


class Seconds(Number):
    """A duration, stored in milliseconds."""

    __slots__ = ()
    places = 3
    least, most = "1", "2592000"
    accepted = "seconds from 1 to 2592000, fractions allowed"


class PollSeconds(Number):
    """A poll interval, stored in milliseconds."""

    __slots__ = ()
    places = 3
    least, most = "0.1", "300"
    accepted = "seconds from 0.1 to 300, fractions allowed"


class UnitCount(Number):
    """The budget of one launch, stored in milli-units."""

    __slots__ = ()
    places = 3
    least, most = "0.001", "1000000000000"
    accepted = "units from 0.001 to 10^12, with up to 3 digits after the decimal point"


class Weight(Number):
    """A weight, stored in thousandths."""

    __slots__ = ()
    places = 3
    least, most = "0", "1"
    accepted = "a number from 0 to 1, with up to 3 digits after the decimal point"


class Money(Number):
    """A price, stored in millionths of a currency unit."""

    __slots__ = ()
    places = 6
    least, most = "0", "1000000"
    accepted = "money per million tokens from 0 to 1000000, with up to 6 digits after the decimal point"


class UnitCap(FieldType):
    """A cap in milli-units; `limit` is None for unlimited."""

    __slots__ = ("limit",)
    accepted = 'units from 0 to 10^12, with up to 3 digits after the decimal point, or "unlimited"'

    def __init__(self, limit: int | None) -> None:
        self.limit = limit

    @classmethod
    def read(cls, value: object) -> Self:
        if value == UNLIMITED:
            return cls(None)
        return cls(_CapUnits.scale(value))


class _CapUnits(UnitCount):
    __slots__ = ()
    least = "0"


class RunCap(FieldType):
    """A cap in launches; `limit` is None for unlimited."""

    __slots__ = ("limit",)
    accepted = 'a whole number from 0 to 100000, or "unlimited"'

    def __init__(self, limit: int | None) -> None:
        self.limit = limit

    @classmethod
    def read(cls, value: object) -> Self:
        if value == UNLIMITED:
            return cls(None)
        return cls(_Count.scale(value))


class _Count(Number):
    __slots__ = ()
    places = 0
    least, most = "0", "100000"


class Zone(FieldType):
    """A time zone known to this system."""

    __slots__ = ("name",)
    accepted = "a time zone such as Europe/Berlin or UTC"

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError(f"is {described(value)}")
        try:
            ZoneInfo(value)
        # ZoneInfo reads a file of that name; it may also find a folder, or the name may be too long.
        except (KeyError, ValueError, OSError):
            import difflib  # imported late: only a file with errors needs it

            near = next(iter(difflib.get_close_matches(value, available_timezones(), n=1)), None)
            raise UnknownWord(f"{quoted(value)} is not a known time zone", near) from None
        return cls(value)


class Schedule(FieldType):
    """A cron expression of five fields that has a next time."""

    __slots__ = ("expression", "repeats_in_a_day")
    accepted = 'cron with five fields, such as "0 3 * * *"'

    def __init__(self, expression: str, *, repeats_in_a_day: bool) -> None:
        self.expression = expression
        self.repeats_in_a_day = repeats_in_a_day

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError(f"is {described(value)}")
        if len(value.split()) != 5:
            raise ValueError(f"{quoted(value)} has {len(value.split())} fields")
        try:
            cron = CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
            next(cron)
        except CronSimError as error:
            raise ValueError(f"{quoted(value)} has a {str(error).lower()}") from None
        except StopIteration:
            raise ValueError(f"{quoted(value)} never fires") from None
        return cls(" ".join(value.split()), repeats_in_a_day=len(cron.minutes) * len(cron.hours) > 1)


class Target(FieldType):
    """The target of a task, checked as any other target is."""

    __slots__ = ("text",)
    accepted = TARGET_ACCEPTED

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError(f"is {described(value)}")
        return cls(check_target(value))


class BaseUrl(FieldType):
    """The base URL of the service: https, except on this machine itself."""

    __slots__ = ("url",)
    accepted = ACCEPTED

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError(f"is {described(value)}")
        try:
            service_root(value, "v1")
        except ValueError as error:
            # The message names the key and what is accepted, which every error of a config file adds anyway.
            raise ValueError(
                re.split(r"[;:] (?:not a URL; )?expected", str(error))[0].removeprefix("base_url ")
            ) from None
        return cls(value.rstrip("/"))


class ProxyUrl(FieldType):
    """The address of an HTTP proxy."""

    __slots__ = ("url",)
    accepted = PROXY_ACCEPTED

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str):
            raise ValueError(f"is {described(value)}")
        return cls(proxy_address(value))


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
