"""With a thousand live runs the screen works on the lines that are visible and have changed, and on no others."""

from __future__ import annotations

import pytest
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from console.domain.run import Run
from console.ui.glyphs import Glyphs
from console.ui.runs import cells
from console.ui.runs.table import HEADER, RunTable
from console.ui.spans import Span
from console.ui.state.view_state import ViewState
from console.ui.widgets.key_bar import KeyBar
from console.ui.widgets.lines import Lines
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

HEIGHT = 50


@pytest.fixture
def many() -> FakeEngine:
    """An engine with a thousand live runs."""
    live = [samples.run(number, of=samples.TASKS[number % 5], sent_ago=300 + number) for number in range(1000)]
    return FakeEngine(live=live)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, int]]:
    """The lines that were painted: the id of the widget and the row in it."""
    found: list[tuple[str | None, int]] = []

    def note(kind: type[Widget]) -> None:
        paint = kind.render_line

        def noted(widget: Widget, y: int) -> Strip:
            found.append((widget.id, y))
            return paint(widget, y)

        monkeypatch.setattr(kind, "render_line", noted)

    for kind in (RunTable, Lines, KeyBar):
        note(kind)
    return found


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs whose rows were laid out."""
    found: list[Run] = []
    layout = cells.cut_off

    def noted(run: Run, view: ViewState, glyphs: Glyphs) -> Span:
        found.append(run)
        return layout(run, view, glyphs)

    monkeypatch.setattr(cells, "cut_off", noted)
    return found


async def test_a_second_costs_the_visible_rows_and_the_clock(
    many: FakeEngine, painted: list[tuple[str | None, int]], rows: list[Run]
) -> None:
    async with console(many, many.clock, size=(120, HEIGHT)) as screen:
        rows.clear()
        painted.clear()
        many.clock.advance(1)
        await screen.tick()
        visible = screen.table.size.height - HEADER
        assert 10 < len(rows) <= visible
        assert 10 < len([y for name, y in painted if name == "runs"]) <= visible
        assert ("header", 0) in painted
        assert not [name for name, _ in painted if name == "keys"]


async def test_a_refresh_at_which_nothing_has_changed_paints_nothing(
    many: FakeEngine, painted: list[tuple[str | None, int]]
) -> None:
    async with console(many, many.clock, size=(120, HEIGHT)) as screen:
        await screen.tick()
        painted.clear()
        await screen.tick()
        assert not painted


async def test_the_cursor_costs_the_row_it_leaves_and_the_row_it_comes_to(
    many: FakeEngine, painted: list[tuple[str | None, int]]
) -> None:
    async with console(many, many.clock, size=(120, HEIGHT)) as screen:
        await screen.tick()
        painted.clear()
        await screen.press("j")
        assert {y for name, y in painted if name == "runs"} == {HEADER, HEADER + 1}


async def test_a_run_more_or_less_leaves_the_layout_alone_and_can_be_reached(
    many: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(many, many.clock, size=(120, HEIGHT)) as screen:
        await screen.tick()
        layouts: list[Screen[object]] = []
        monkeypatch.setattr(Screen, "_refresh_layout", lambda self, *_, **__: layouts.append(self))
        many.live = [*many.live[:-1], samples.run(1000), samples.run(1001)]
        await screen.tick()
        assert not layouts
        monkeypatch.undo()
        assert (
            screen.table.max_scroll_y == screen.table.vertical_scrollbar.window_virtual_size - screen.table.size.height
        )
        await screen.press("end")
        assert screen.cursor == screen.table.order[-1]
        assert screen.row(screen.table.order[-1])
        many.live = many.live[:900]
        await screen.tick()
        assert screen.table.scroll_offset.y <= 901 - screen.table.size.height
