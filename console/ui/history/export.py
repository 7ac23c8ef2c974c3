"""What a filter shows, written to a new file page by page. Nobody's file is overwritten, nobody else may read it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from textual.binding import Binding

from console.domain.run import Run
from console.domain.timestamps import Timestamp
from console.engine.export import csv_text, run_json
from console.engine.models import Cursor, HistoryFilter, Page
from console.ui.actions.run_actions import RunActionsScreen
from console.ui.dialogs.dialog import Field, FormDialog
from console.ui.format import at
from console.ui.spans import Span, Tone, line, sanitize_cell

PAGE = 500
FORMS = (".csv", ".json")


class HistoryQueries(Protocol):
    """Where the pages come from."""

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """The newest `limit` entries that fit, or those after `after`."""
        ...


class _Form:
    """Pieces of the text that a file consists of."""

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
    """A file that was not there before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = open(descriptor, "w", encoding="utf-8", newline="")  # noqa: SIM115 - closed by either method

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
    """Writes all entries that fit, off the event loop; returns how many.

    The form follows the ending of `path`, `.csv` or `.json`. Raises ValueError for another ending, OSError where the
    file exists or cannot be written (what was begun is taken away again), StoreError.
    """
    if path.suffix not in FORMS:
        raise ValueError(f"the name ends in {' or '.join(FORMS)}, not in {path.suffix or 'nothing'!r}")
    form, count, after = _Form(path.suffix == ".json", now), 0, None
    file = await asyncio.to_thread(_NewFile, path)
    try:
        while True:
            page = await queries.history(wanted, limit=PAGE, after=after)
            await asyncio.to_thread(file.write, form.piece(page.runs))
            count, after = count + len(page.runs), page.after
            if after is None:
                break
        await asyncio.to_thread(file.close, form.end)
    except BaseException:
        file.discard()
        raise
    return count


EXPORT = Binding("e", "export", "export", id="history.export", tooltip="Writes what the filter shows to a new file")


class Exporting(RunActionsScreen):
    """A board that shows what fits a filter."""

    def shown(self) -> tuple[str, HistoryFilter]:
        """The filter, as it was typed and as the engine is asked."""
        return "", HistoryFilter()

    def action_export(self) -> None:
        """Asks for a name; its ending says in which form."""
        view, (text, wanted) = self.view, self.shown()
        if view is None:
            return
        name = f"nightdesk-{at(view.now_ms, view.zone):%Y-%m-%d}.csv"
        field = Field(label="file, ending in .csv or .json", hint=name, needed=False)
        note = Span("  with each attempt on its own" if wanted.folded else "", Tone.MUTED)
        what = line(Span(sanitize_cell(text).strip() or "everything", Tone.STRONG), note)
        form = FormDialog("Export what the filter shows", lambda cells: [what], (field,), done="writes it")
        self.app.push_screen(form, partial(self._export_to, name, wanted))

    def _export_to(self, name: str, wanted: HistoryFilter, values: tuple[str, ...] | None) -> None:
        if values is not None:
            self.background.start(self._export(Path(values[0] or name).expanduser(), wanted), name="export")

    async def _export(self, path: Path, wanted: HistoryFilter) -> Span:
        queries, now = self.context.engine.queries, self.context.clock.now()
        try:
            count = await export(queries, replace(wanted, folded=False), path, now)
        except OSError as error:
            return Span(f"not written: {sanitize_cell(str(path))}: {error.strerror or error}", Tone.BAD)
        return Span(f"wrote {count} entries to {sanitize_cell(str(path))}", Tone.OK)
