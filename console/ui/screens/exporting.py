"""`e`: what a filter shows goes into a new file, apart from the screen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from textual.binding import Binding

from console.engine.lookback import HistoryFilter
from console.ui.export import export
from console.ui.format import at
from console.ui.screens.acting import Acting
from console.ui.screens.dialogs import Field, Form
from console.ui.spans import Span, Tone, foreign, line

EXPORT = Binding("e", "export", "export", id="history.export", tooltip="Writes what the filter shows to a new file")


class Exporting(Acting):
    """A board that shows what fits a filter."""

    def shown(self) -> tuple[str, HistoryFilter]:
        """The filter, as it was typed and as the engine is asked."""
        return "", HistoryFilter()

    def action_export(self) -> None:
        """Asks for a name; its ending says in which form."""
        look, (text, wanted) = self.look, self.shown()
        if look is None:
            return
        name = f"nightdesk-{at(look.now_ms, look.zone):%Y-%m-%d}.csv"
        field = Field(label="file, ending in .csv or .json", hint=name, needed=False)
        note = Span("  with each attempt on its own" if wanted.folded else "", Tone.MUTED)
        what = line(Span(foreign(text).strip() or "everything", Tone.STRONG), note)
        form = Form("Export what the filter shows", lambda cells: [what], (field,), done="writes it")
        self.app.push_screen(form, partial(self._export_to, name, wanted))

    def _export_to(self, name: str, wanted: HistoryFilter, values: tuple[str, ...] | None) -> None:
        if values is not None:
            self.acts.start(self._export(Path(values[0] or name).expanduser(), wanted), name="export")

    async def _export(self, path: Path, wanted: HistoryFilter) -> Span:
        view, now = self.context.engine.view, self.context.clock.now()
        try:
            count = await export(view, replace(wanted, folded=False), path, now)
        except OSError as error:
            return Span(f"not written: {foreign(str(path))}: {error.strerror or error}", Tone.BAD)
        return Span(f"wrote {count} entries to {foreign(str(path))}", Tone.OK)
