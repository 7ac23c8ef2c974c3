"""One class per kind of value that the file may hold: what is accepted in words, and how it becomes an integer.

A number is read as the decimal that was written, never as a binary fraction: 0.1 s is 100 ms, exactly.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Self
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from console.domain.text import sanitize
from console.provider.http.address import ACCEPTED, service_root

UNLIMITED = "unlimited"


class UnknownWord(ValueError):
    """A word that is none of those known; `near` is the one that was probably meant."""

    def __init__(self, complaint: str, near: str | None) -> None:
        super().__init__(complaint)
        self.near = near


class FieldType:
    """A value that msgspec does not know. Subclasses read it and say what they accept."""

    __slots__ = ()
    accepted: ClassVar[str]
    """What may be written, for messages."""

    @classmethod
    def read(cls, value: object) -> Self:
        """The value as written in the file. Raises ValueError with the complaint alone."""
        raise NotImplementedError


class Number(FieldType):
    """A decimal kept as an integer of 10^-`places`."""

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
        """`value` as an integer of 10^-`places`. Raises ValueError."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError(f"is {described(value)}")
        number = Decimal(value)
        if not number.is_finite():
            raise ValueError(f"is {str(value).lower()}")
        if not Decimal(cls.least) <= number <= Decimal(cls.most):
            raise ValueError(f"{value} is out of range")
        # Within the range a number has few digits before the point, so this is exact or it is refused.
        scaled = number.scaleb(cls.places)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{sanitize(str(value), limit=40)} has more than {cls.places} digits behind the point")
        return int(scaled)


class Seconds(Number):
    """Milliseconds."""

    __slots__ = ()
    places = 3
    least, most = "1", "2592000"
    accepted = "seconds from 1 to 2592000, fractions allowed"


class PollSeconds(Number):
    """Milliseconds."""

    __slots__ = ()
    places = 3
    least, most = "0.1", "300"
    accepted = "seconds from 0.1 to 300, fractions allowed"


class UnitCount(Number):
    """Milli-units that one launch may use."""

    __slots__ = ()
    places = 3
    least, most = "0.001", "1000000000000"
    accepted = "units from 0.001 to 10^12, with up to 3 digits behind the point"


class Weight(Number):
    """Thousandths."""

    __slots__ = ()
    places = 3
    least, most = "0", "1"
    accepted = "a number from 0 to 1, with up to 3 digits behind the point"


class Money(Number):
    """Micro-units of a currency."""

    __slots__ = ()
    places = 6
    least, most = "0", "1000000"
    accepted = "money per million tokens from 0 to 1000000, with up to 6 digits behind the point"


class UnitCap(FieldType):
    """A cap in milli-units; None is unlimited."""

    __slots__ = ("limit",)
    accepted = 'units from 0 to 10^12, with up to 3 digits behind the point, or "unlimited"'

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
    """A cap in launches; None is unlimited."""

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
    """A time zone that this system knows."""

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
        # ZoneInfo reads a file of that name: besides "not found" it may meet a folder or a name too long.
        except (KeyError, ValueError, OSError):
            import difflib  # only where something is wrong

            near = next(iter(difflib.get_close_matches(value, available_timezones(), n=1)), None)
            raise UnknownWord(f"{quoted(value)} is not a known time zone", near) from None
        return cls(value)


class Schedule(FieldType):
    """A cron expression of five fields that fires at all."""

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


class BaseUrl(FieldType):
    """Where the provider is: over TLS, except on this machine itself."""

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
            # Its line repeats the key and what is accepted, which stand in every message of ours.
            raise ValueError(
                re.split(r"[;:] (?:not a URL; )?expected", str(error))[0].removeprefix("base_url ")
            ) from None
        return cls(value.rstrip("/"))


def quoted(text: str) -> str:
    """`text` from the file, cleaned and short, in quotes."""
    return f'"{sanitize(text, limit=60)}"'


def described(value: object) -> str:
    """What sort of value stands there, without showing text that may be a secret: `a text`, `a list`, `5`."""
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
