"""The formatters of `console.domain.formatting` under the short names that the screens use.

Kept apart because line builders call them several times per line, where the short names read better.
"""

from __future__ import annotations

from console.domain.formatting import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    at,
    cut_off_rule,
    decimals,
    format_duration,
    zone_name,
)
from console.domain.formatting import format_age as age
from console.domain.formatting import format_clock as clock
from console.domain.formatting import format_count as count
from console.domain.formatting import format_countdown as countdown
from console.domain.formatting import format_elapsed as elapsed
from console.domain.formatting import format_money as money
from console.domain.formatting import format_percent as percent
from console.domain.formatting import format_units as units
from console.domain.formatting import format_when as when
from console.domain.formatting import zone_or_utc as zone

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "SECOND",
    "age",
    "at",
    "clock",
    "count",
    "countdown",
    "cut_off_rule",
    "decimals",
    "elapsed",
    "format_duration",
    "money",
    "percent",
    "units",
    "when",
    "zone",
    "zone_name",
]
