"""Rows as CSV that a spreadsheet only shows and never runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so would be run by a spreadsheet; an agent may have written it."""


def plain(value: object) -> object:
    """A value of a CSV cell: text that a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def csv_text(rows: Iterable[Mapping[str, object]], *, head: bool) -> str:
    """Rows as RFC 4180 writes them, with the names first where `head` is true; None is empty."""
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row))
            if head:
                writer.writeheader()
        writer.writerow({name: plain(value) for name, value in row.items()})
    return text.getvalue()
