"""`?`: the keys that work on this screen, taken from the bindings, the meaning of the signs, and a glossary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from console.domain.run import Outcome, State
from console.ui.context import SessionInfo
from console.ui.glyphs import Glyphs, outcome_word
from console.ui.spans import Line, Span, Tone, fit, line, middle, sanitize_cell, wrapped
from console.ui.state.view_state import ViewState
from console.ui.widgets.key_bar import Hint, group_of, in_groups
from console.ui.widgets.lines import Lines, ScrollLines
from console.ui.words import GLOSSARY

WORD = 14
"""The width of a word of the glossary."""


PageText = Callable[[int], Sequence[Line]]
"""Makes the text of a page for a width in cells."""


class TextPage(ModalScreen[None], inherit_bindings=False):
    """A text over the screen below, which can be scrolled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "close", "back", id="help.back", tooltip="Close the help", show=False),
        Binding("down,j", "scroll(1)", "down", id="help.down", tooltip="One line down", show=False),
        Binding("up,k", "scroll(-1)", "up", id="help.up", tooltip="One line up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", id="help.page_down", tooltip="Ten lines down", show=False),
        Binding("pageup", "scroll(-10)", "page up", id="help.page_up", tooltip="Ten lines up", show=False),
    ]

    def __init__(self, title: str, text: PageText) -> None:
        super().__init__()
        self._heading = title
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Lines([line(Span(self._heading, Tone.STRONG)), ()], id="title")
            yield ScrollLines(id="text")

    def on_mount(self) -> None:
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

    def action_close(self) -> None:
        """Close the page."""
        self.dismiss()

    def action_scroll(self, rows: int) -> None:
        """Scroll by lines."""
        self.query_one(ScrollLines).scroll_relative(y=rows, animate=False)

    def _lay_out(self) -> None:
        cells = min(100, self.app.size.width - 2) - 4
        box, lines = self.query_one("#box"), self._text(cells - 1)
        box.styles.width = cells + 4
        box.styles.height = min(self.app.size.height - 2, len(lines) + 4)
        self.query_one(ScrollLines).show(lines)


def help_page(hints: Sequence[Hint], glyphs: Glyphs, session: SessionInfo) -> TextPage:
    """Where this console is, the keys of a screen, the signs, and the glossary."""

    def text(cells: int) -> list[Line]:
        return [
            *session_lines(session, cells, glyphs.ellipsis),
            *help_lines(hints, cells, glyphs.ellipsis),
            (),
            line(Span("signs", Tone.STRONG)),
            *signs(glyphs, cells),
            (),
            line(Span("words", Tone.STRONG)),
            *glossary_lines(cells),
        ]

    return TextPage("Keys, signs and words", text)


def session_lines(session: SessionInfo, cells: int, ellipsis: str) -> list[Line]:
    """Who and where this console is and what it acts on; empty where that is not known."""
    facts = (
        ("demo", "a built-in simulator; nothing is kept" if session.is_demo else ""),
        ("user", session.who_where),
        ("context", session.context),
        ("name", session.name),
        ("state folder", session.folder),
        ("config", session.config),
        ("provider", session.provider),
        ("version", session.version),
    )
    lines = [
        line(Span(f"  {name:<{WORD}}", Tone.KEY), Span(middle(value, max(8, cells - WORD - 2), ellipsis), Tone.MUTED))
        for name, value in facts
        if value
    ]
    return [line(Span("here", Tone.STRONG)), *lines, ()] if lines else []


def problems_page(view: ViewState | None) -> TextPage:
    """Everything that does not work now or failed lately, with its age and count."""
    problems = view.snapshot.problems if view is not None else ()

    def text(cells: int) -> list[Line]:
        if view is None or not problems:
            return [line(Span("No problems.", Tone.OK))]
        return [
            line(Span(piece, Tone.BAD if problem.over_ms is None else Tone.MUTED))
            for problem in problems
            for piece in wrapped(sanitize_cell(problem.line(view.now_ms), limit=2_000), cells)
        ]

    return TextPage("Problems", text)


def glossary_lines(cells: int) -> list[Line]:
    """The words of the screens with what they mean, wrapped."""
    lines: list[Line] = []
    for word, meaning in GLOSSARY:
        first, *more = wrapped(meaning, max(12, cells - WORD - 2))
        lines.append(line(Span(f"  {word:<{WORD}}", Tone.KEY), Span(first, Tone.MUTED)))
        lines += [line(Span(" " * (WORD + 2) + each, Tone.MUTED)) for each in more]
    return lines


def signs(glyphs: Glyphs, cells: int) -> list[Line]:
    """Every sign with its word, in columns."""
    pairs = [(glyphs.states[state], state.value) for state in State if state is not State.ENDED]
    pairs += [(glyphs.stalled, "stalled"), (glyphs.alarm, "no proof of a stop")]
    pairs += [(glyphs.outcomes[outcome], outcome_word(outcome)) for outcome in Outcome]
    columns = max(1, cells // 24)
    return [
        fit(
            tuple(
                span
                for sign, word in pairs[at : at + columns]
                for span in (Span(f"  {sign} "), Span(f"{word:<20}", Tone.MUTED))
            ),
            cells,
            glyphs.ellipsis,
        )
        for at in range(0, len(pairs), columns)
    ]


def help_lines(shown: Iterable[Hint], cells: int, ellipsis: str) -> list[Line]:
    """Every key with what it does, grouped by the first part of its id; keys that only move come last."""
    groups: dict[str, list[Hint]] = {}
    for hint in in_groups(shown):
        groups.setdefault(group_of(hint), []).append(hint)
    lines: list[Line] = []
    for name in groups:
        lines.extend([(), line(Span(name, Tone.STRONG))] if lines else [line(Span(name, Tone.STRONG))])
        for hint in groups[name]:
            lines.extend(fit(each, cells, ellipsis) for each in _explained(hint, cells))
    return lines


KEYS, LABEL = 18, 14
"""The widths of the columns before the explanation of a key, in cells."""
BESIDE = 64
"""From this width on the explanation of a key is beside it, else below it."""


def _explained(hint: Hint, cells: int) -> list[Line]:
    tone = Tone.KEY if hint.enabled else Tone.MUTED
    if cells < BESIDE:
        below = (line(Span(f"      {each}", Tone.MUTED)) for each in wrapped(hint.tooltip, max(12, cells - 6)))
        return [line(Span(f"  {', '.join(hint.keys)}", tone), Span(f"  {hint.label}")), *below]
    indent = 2 + KEYS + 1 + LABEL + 1
    first, *more = wrapped(hint.tooltip, max(12, cells - indent))
    start = line(Span(f"  {', '.join(hint.keys):<{KEYS}} ", tone), Span(f"{hint.label:<{LABEL}} "))
    return [(*start, Span(first, Tone.MUTED)), *(line(Span(" " * indent + each, Tone.MUTED)) for each in more)]
