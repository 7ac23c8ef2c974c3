"""The keys that work on the present screen, taken from the bindings, and the bar that shows them at the bottom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from textual import events
from textual.binding import ActiveBinding
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from console.ui.spans import Line, Span, Tone, fit, width
from console.ui.widgets.lines import paint

DISPLAY = {
    "question_mark": "?",
    "exclamation_mark": "!",
    "colon": ":",
    "slash": "/",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "minus": "-",
    "plus": "+",
    "full_stop": ".",
    "comma": ",",
}

ONLY_ENABLED = frozenset({"run.approve", "run.decline", "run.settle"})
"""Hints that few runs have; they stand in the bar only while they can be used."""
LAST_GROUPS = ("shell", "table", "detail", "app")


def key_name(key: str) -> str:
    """A key as it is shown: `ctrl+q`, `?`, `X`, `esc`."""
    if key.startswith("upper_"):
        return key.removeprefix("upper_").upper()
    *modifiers, last = key.split("+")
    return "+".join([*modifiers, DISPLAY.get(last, last)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """One action that keys of this screen have."""

    keys: tuple[str, ...]
    """The keys as they are shown."""
    label: str
    tooltip: str
    action: str
    id: str
    show: bool
    enabled: bool


@dataclass(slots=True)
class _HintKeys:
    keys: list[str] = field(default_factory=list)
    active: ActiveBinding | None = None


def hints(active: Mapping[str, ActiveBinding]) -> tuple[Hint, ...]:
    """The bindings that have an id, in the order of their declaration; keys with the same id are one hint."""
    gathered: dict[str, _HintKeys] = {}
    for key, each in active.items():
        if each.binding.id is None:
            continue
        entry = gathered.setdefault(each.binding.id, _HintKeys())
        entry.keys.append(key_name(key))
        entry.active = entry.active or each
    return tuple(_hint(identity, entry) for identity, entry in gathered.items())


def _hint(identity: str, entry: _HintKeys) -> Hint:
    assert entry.active is not None
    binding = entry.active.binding
    return Hint(
        keys=tuple(entry.keys),
        label=binding.description,
        tooltip=binding.tooltip,
        action=binding.action,
        id=identity,
        show=binding.show and (entry.active.enabled or identity not in ONLY_ENABLED),
        enabled=entry.active.enabled,
    )


def bar(shown: Iterable[Hint], cells: int, ellipsis: str) -> tuple[Line, tuple[tuple[int, int, str], ...]]:
    """The key bar in exactly `cells`, and where each hint stands as (start, end, action).

    What does not work on this run just now is muted; where room is short it goes first, then from the end.
    The last hint (help) always stays.
    """
    wanted = [hint for hint in shown if hint.show]
    while len(wanted) > 1 and _needed(wanted) > cells - 2:
        disabled = [hint for hint in wanted[:-1] if not hint.enabled]
        wanted.remove(disabled[-1] if disabled else wanted[-2])
    spans: list[Span] = [Span(" ")]
    places: list[tuple[int, int, str]] = []
    at = 1
    for number, hint in enumerate(wanted):
        pieces = _pieces(hint)
        size = width(pieces)
        if hint.enabled:
            places.append((at, at + size, hint.action))
        spans.extend((*([Span("   ")] if number else ()), *pieces))
        at += size + 3
    return fit(tuple(spans), cells, ellipsis), tuple(places)


def beside(notice: Span, shown: Iterable[Hint], cells: int, ellipsis: str) -> Line:
    """The notice in exactly `cells`, with the last hint (help) at its right edge."""
    wanted = [hint for hint in shown if hint.show and hint.enabled]
    last: Line = (Span("   "), *_pieces(wanted[-1]), Span(" ")) if wanted else ()
    return (*fit((Span(" "), notice), max(0, cells - width(last)), ellipsis), *last)


def _pieces(hint: Hint) -> Line:
    tones = (Tone.KEY, Tone.PLAIN) if hint.enabled else (Tone.FAINT, Tone.FAINT)
    return Span(hint.keys[0], tones[0]), Span(f" {hint.label}", tones[1])


def _needed(wanted: list[Hint]) -> int:
    return sum(width(_pieces(hint)) for hint in wanted) + 3 * (len(wanted) - 1)


def in_groups(shown: Iterable[Hint]) -> list[Hint]:
    """The hints in their order, those that only move or leave behind those that act."""
    return sorted(shown, key=lambda hint: LAST_GROUPS.index(group_of(hint)) if group_of(hint) in LAST_GROUPS else -1)


def group_of(hint: Hint) -> str:
    return hint.id.partition(".")[0]


class KeyBar(Widget):
    """The bottom line: a notice, or the hints."""

    @dataclass
    class Clicked(Message):
        """A hint was clicked."""

        action: str

    hints: reactive[tuple[Hint, ...]] = reactive(())
    notice: reactive[Span | None] = reactive(None)

    def __init__(self, ellipsis: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ellipsis = ellipsis

    def on_click(self, event: events.Click) -> None:
        """Report the action of the clicked hint."""
        if self.notice is None:
            _, places = bar(self.hints, self.size.width, self._ellipsis)
            for start, end, action in places:
                if start <= event.x < end:
                    self.post_message(self.Clicked(action))

    def render_line(self, y: int) -> Strip:
        """The notice with the help hint beside it, or else the hints."""
        cells = self.size.width
        if self.notice is not None:
            return paint(self, beside(self.notice, self.hints, cells, self._ellipsis), cells)
        return paint(self, bar(self.hints, cells, self._ellipsis)[0], cells)
