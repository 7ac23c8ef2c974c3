"""`e`: writes the entries that a filter shows to a new file, page by page, away from the event loop.

An existing file is never overwritten, and the new one can be read by its owner only.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from textual.binding import Binding

from console.domain.run import Run
from console.domain.timestamps import Timestamp
from console.engine.models import Cursor, HistoryFilter, Page
from console.engine.run_json import csv_text, run_json
from console.ui.base_screen import BaseScreen, KeyAction
from console.ui.dialogs.dialog import Field, FormDialog
from console.ui.format import at
from console.ui.spans import Span, Tone, line, sanitize_cell

EXPORT = Binding(
    "e", "perform('export')", "export", id="history.export", tooltip="Write what the filter shows to a new file"
)
EXPORT_PAGE = 500
"""Entries that are read at a time."""
SUFFIXES = (".csv", ".json")


class HistoryQueries(Protocol):
    """The source of the entries."""

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """The newest `limit` entries that match, or those after `after`."""
        ...


class _TextForm:
    """The text of a file in CSV or JSON, piece by piece."""

    def __init__(self, is_json: bool, now: Timestamp) -> None:
        self._is_json = is_json
        self._now = now
        self._written = 0

    def piece(self, runs: Iterable[Run]) -> str:
        rows = [run_json(run, self._now) for run in runs]
        before, self._written = self._written, self._written + len(rows)
        if not self._is_json:
            return csv_text(rows, head=before == 0)
        pieces = [json.dumps(row, ensure_ascii=False) for row in rows]
        return ("[\n" if before == 0 else ",\n" if pieces else "") + ",\n".join(pieces)

    @property
    def end(self) -> str:
        return "\n]\n" if self._is_json else ""


class _NewFile:
    """A file that did not exist before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = open(descriptor, "w", encoding="utf-8", newline="")  # noqa: SIM115 - closed by `close` or `discard`

    def write(self, text: str) -> None:
        self._file.write(text)

    def close(self, text: str) -> None:
        self._file.write(text)
        self._file.close()

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()


async def export(queries: HistoryQueries, wanted: HistoryFilter, path: Path, now: Timestamp) -> int:
    """Write all entries that match `wanted`; return how many.

    The suffix of `path` decides the form: `.csv` or `.json`. Raises ValueError for another suffix, OSError if the file
    exists or cannot be written, StoreError; an incomplete file is deleted.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"the name must end in {' or '.join(SUFFIXES)}, not in {path.suffix or 'nothing'!r}")
    form, count, after = _TextForm(path.suffix == ".json", now), 0, None
    file = await asyncio.to_thread(_NewFile, path)
    try:
        while True:
            page = await queries.history(wanted, limit=EXPORT_PAGE, after=after)
            await asyncio.to_thread(file.write, form.piece(page.runs))
            count, after = count + len(page.runs), page.after
            if after is None:
                break
        await asyncio.to_thread(file.close, form.end)
    except BaseException:
        file.discard()
        raise
    return count


class ExportAction:
    """Asks for a file name and exports in the background."""

    def __init__(self, screen: BaseScreen, shown: Callable[[], tuple[str, HistoryFilter]]) -> None:
        """`shown` gives the filter: as it was typed, and as the engine takes it."""
        self._screen = screen
        self._shown = shown

    def key_actions(self) -> dict[str, KeyAction]:
        """The action by the name that its binding uses."""
        return {"export": KeyAction(self._ask)}

    def _ask(self) -> None:
        view, (text, wanted) = self._screen.view, self._shown()
        if view is None:
            return
        name = f"nightdesk-{at(view.now_ms, view.zone):%Y-%m-%d}.csv"
        field = Field(label="file, ending in .csv or .json", hint=name, needed=False)
        note = Span("  with every attempt" if wanted.folded else "", Tone.MUTED)
        what = line(Span(sanitize_cell(text).strip() or "everything", Tone.STRONG), note)
        form = FormDialog("Export what the filter shows", lambda cells: [what], (field,), done="export")
        self._screen.app.push_screen(form, partial(self._name_given, name, wanted))

    def _name_given(self, name: str, wanted: HistoryFilter, values: tuple[str, ...] | None) -> None:
        if values is not None:
            self._screen.background.start(self._export(Path(values[0] or name).expanduser(), wanted), name="export")

    async def _export(self, path: Path, wanted: HistoryFilter) -> Span:
        context = self._screen.context
        try:
            count = await export(context.engine.queries, replace(wanted, folded=False), path, context.clock.now())
        except OSError as error:
            return Span(f"not written: {sanitize_cell(str(path))}: {error.strerror or error}", Tone.BAD)
        entries = "1 entry" if count == 1 else f"{count} entries"
        return Span(f"wrote {entries} to {sanitize_cell(str(path))}", Tone.OK)
