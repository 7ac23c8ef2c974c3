"""`/`, `o`, `O` and `b` of a table: its filter, its order, and the filters that are kept. Every table has the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from textual.binding import Binding
from textual.widget import Widget

from console.ui.base_screen import BaseScreen, KeyAction
from console.ui.context import Context
from console.ui.filtering.line import FilterLine, Grammar
from console.ui.filtering.terms import FilterContext
from console.ui.format import zone
from console.ui.spans import Line, Span, Tone, clip, line, sanitize_cell, spread, width
from console.ui.state.preferences import SavedOrder
from console.ui.widgets.lines import Lines

T = TypeVar("T")

FILTER = Binding(
    "slash", "perform('filter')", "filter", id="find.filter", tooltip="Filter the table by words, names and figures"
)
ORDER = Binding("o", "perform('order')", "sort", id="find.order", tooltip="Sort the table in the next way")
REVERSE = Binding(
    "O", "perform('reverse')", "reverse", id="find.reverse", tooltip="Sort the other way round", show=False
)
SAVED = Binding(
    "b", "perform('saved')", "saved", id="find.saved", tooltip="Save this filter, or apply a saved one", show=False
)
CLEAR = Binding("escape", "perform('everything')", "all", id="find.all", tooltip="Clear the filter", show=False)
FILTER_KEYS = (FILTER, ORDER, REVERSE, SAVED)

SAVE, FORGET, APPLY = "save", "forget", "apply:"


@dataclass(frozen=True, slots=True)
class Order:
    """One way to sort a table."""

    name: str
    label: str
    """What the rows are in this order: `ends first`."""
    reversed_label: str


class TableControls(Generic[T]):
    """The filter and the order of one table. The first order is the usual one."""

    def __init__(
        self,
        screen: BaseScreen,
        name: str,
        grammar: Grammar[T],
        orders: Sequence[Order],
        *,
        changed: Callable[[], None],
        focus: Callable[[], Widget | None],
    ) -> None:
        """`name` is the one under which the order is remembered; `changed` is called when other rows are wanted, or in
        another order; `focus` gives the widget that has the keyboard while no filter is typed."""
        self._screen = screen
        self._name = name
        self._orders = tuple(orders)
        self._changed = changed
        self._focus = focus
        self._waiting: str | None = None
        """A filter that is set before the line is there."""
        self.line: FilterLine[T] = FilterLine(grammar, id="filter", changed=self._line_changed, closed=self._closed)
        self.order, self.reverse = self._orders[0], False
        saved = screen.context.preferences.order(name)
        if saved is not None:
            self.order = next((each for each in self._orders if each.name == saved.name), self.order)
            self.reverse = saved.reverse and self.order.name == saved.name

    def widgets(self) -> Iterable[Widget]:
        """The line that says what is shown, and the one to type a filter into."""
        yield Lines(id="shown")
        yield self.line

    @property
    def text(self) -> str:
        """The filter as it was typed."""
        return self.line.text

    @property
    def wanted(self) -> T:
        """What the filter asks for."""
        return self.line.wanted

    @property
    def order_label(self) -> str:
        """What the rows are in this order."""
        return self.order.reversed_label if self.reverse else self.order.label

    @property
    def is_usual(self) -> bool:
        """True where everything is shown in the usual order."""
        return not self.text and self.order is self._orders[0] and not self.reverse

    def key_actions(self) -> dict[str, KeyAction]:
        """The actions by the names that the bindings use."""
        return {
            "filter": KeyAction(self.line.open),
            "everything": KeyAction(self.line.clear),
            "order": KeyAction(self._next_order),
            "reverse": KeyAction(self._reverse),
            "saved": KeyAction(self._show_saved),
        }

    def mounted(self) -> None:
        """Apply the filter that was set before the screen was there, and give the keyboard to the table."""
        if self._waiting is not None:
            self.line.set_text(self._waiting)
            self._waiting = None
        self._closed()

    def set_text(self, text: str) -> None:
        """Filter by this text, also before the screen is shown for the first time."""
        if self.line.is_mounted and self._screen.has_body:
            self.line.set_text(text)
        else:
            self._waiting = text

    def show(self, shown: int, of: int, noun: str) -> None:
        """Say above the table what is left out and how it is sorted; nothing where all is as usual."""
        said = self._screen.query_one("#shown", Lines)
        said.display = not self.is_usual
        if said.display:
            cells, ellipsis = self._screen.app.size.width, self._screen.context.glyphs.ellipsis
            said.show([status_line(self.text, shown, of, noun, self.order_label, cells, ellipsis)])

    def _line_changed(self, is_other: bool) -> None:
        if is_other:
            self._changed()
        elif self._screen.view is not None:
            self._screen.update(self._screen.view)

    def _closed(self) -> None:
        self._screen.set_focus(self._focus())

    def _next_order(self) -> None:
        self.order = self._orders[(self._orders.index(self.order) + 1) % len(self._orders)]
        self.reverse = False
        self._order_changed()

    def _reverse(self) -> None:
        self.reverse = not self.reverse
        self._order_changed()

    def _order_changed(self) -> None:
        self._screen.context.preferences.set_order(self._name, SavedOrder(self.order.name, self.reverse))
        self._write()
        self._screen.post_notice(Span(f"sorted: {self.order_label}", Tone.MUTED))
        self._changed()

    def _show_saved(self) -> None:
        # Not needed for the first frame.
        from console.ui.dialogs.dialog import Item, PickerDialog

        text, known = self.text.strip(), self._screen.context.preferences.filters(self._name)
        items = []
        if text:
            word = FORGET if text in known else SAVE
            items.append(Item(id=word, label=f"{word} this filter", hint=sanitize_cell(text)))
        items += [Item(id=f"{APPLY}{each}", label=sanitize_cell(each), hint="") for each in known if each != text]
        if not items:
            self._screen.post_notice(Span("no filter is saved; press / to type one, then b to save it", Tone.MUTED))
            return
        pointer = self._screen.context.glyphs.pointer
        self._screen.app.push_screen(
            PickerDialog("Saved filters", items, hint="type to search", pointer=pointer), self._saved_chosen
        )

    def _saved_chosen(self, chosen: str | None) -> None:
        preferences, text = self._screen.context.preferences, self.text.strip()
        if chosen is None:
            return
        if chosen.startswith(APPLY):
            self.line.set_text(chosen.removeprefix(APPLY))
            return
        if chosen == SAVE:
            preferences.save_filter(self._name, text)
        else:
            preferences.forget_filter(self._name, text)
        self._write()
        self._screen.post_notice(Span(f"filter {'saved' if chosen == SAVE else 'forgotten'}: {sanitize_cell(text)}"))

    def _write(self) -> None:
        self._screen.background.start(self._screen.context.preferences.write(), name="console.json")


def filter_context(context: Context) -> FilterContext:
    """What a filter needs to be read now."""
    settings = context.engine.settings
    tasks = tuple(task.name for task in settings.tasks)
    providers = tuple(service.name for service in settings.services)
    return FilterContext(
        now_ms=context.clock.now().wall_ms,
        zone=zone(settings.caps.time_zone),
        tasks=tasks,
        providers=providers,
        in_fleet=context.session.in_fleet,
    )


def status_line(text: str, shown: int, of: int, noun: str, order: str, cells: int, ellipsis: str) -> Line:
    """`/ task:x   3 of 36 runs` at the left, the order at the right; the filter is cut first."""
    counted = Span(f"   {shown} of {of} {noun}", Tone.WARN if shown < of else Tone.MUTED) if text else Span("")
    end = line(counted, Span(f"   {order} ", Tone.MUTED))
    room = max(0, cells - width(end) - 3)
    start = line(Span(" / ", Tone.KEY), Span(clip(sanitize_cell(text), room, ellipsis), Tone.STRONG)) if text else ()
    return spread(start, end, cells, ellipsis)
