"""Notices, bell and window title about changes of runs: each change is reported once, the most urgent first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from console.domain.run import Outcome, Run, State
from console.domain.timestamps import Clock
from console.engine.models import Snapshot
from console.ui.glyphs import outcome_word
from console.ui.spans import Span, Tone, sanitize_cell
from console.ui.state.view_state import ViewState


class NewsKind(IntEnum):
    """The kinds of news; the most urgent one has the lowest number."""

    UNCONFIRMED = 0
    """The outcome of a launch is unknown, or a stop is overdue and not proven."""
    CUT_OFF = 1
    WAITING = 2
    """A proposal that waits for approval."""
    FAILED = 3
    FINISHED = 4
    """Ended ok or cancelled by a person; shown without a bell."""


TITLES = {
    NewsKind.UNCONFIRMED: "nightdesk: unconfirmed",
    NewsKind.CUT_OFF: "nightdesk: cut off",
    NewsKind.WAITING: "nightdesk: waits for approval",
    NewsKind.FAILED: "nightdesk: failed",
}
"""The title of the window until a key is pressed. Only these fixed texts are ever used as a title."""

QUIET_TITLE = "nightdesk"

_ENDINGS = {
    Outcome.OK: NewsKind.FINISHED,
    Outcome.CANCELLED: NewsKind.FINISHED,
    Outcome.TIMEOUT: NewsKind.CUT_OFF,
    Outcome.BUDGET: NewsKind.CUT_OFF,
    Outcome.FAILED: NewsKind.FAILED,
    Outcome.INCOMPLETE: NewsKind.FAILED,
    Outcome.REJECTED: NewsKind.FAILED,
    Outcome.NOT_SENT: NewsKind.FAILED,
    Outcome.EXPIRED: NewsKind.FAILED,
}
"""Other outcomes are not news: a person has just decided on them, or nothing was launched."""

_TONES = {
    NewsKind.UNCONFIRMED: Tone.LOUD,
    NewsKind.CUT_OFF: Tone.BAD,
    NewsKind.WAITING: Tone.WAIT,
    NewsKind.FAILED: Tone.BAD,
}
_COUNTED = {
    NewsKind.UNCONFIRMED: "unconfirmed",
    NewsKind.CUT_OFF: "cut off",
    NewsKind.WAITING: "waiting",
    NewsKind.FAILED: "failed",
    NewsKind.FINISHED: "finished",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One change of one run."""

    kind: NewsKind
    run: Run


def kind_of(run: Run) -> NewsKind | None:
    """The kind of news that a run in this state is; None for a run that is just running."""
    if run.outcome is not None:
        return _ENDINGS.get(run.outcome)
    if run.state is State.UNCONFIRMED or (run.stop is not None and run.stop.alarmed):
        return NewsKind.UNCONFIRMED
    return NewsKind.WAITING if run.state is State.PROPOSED else None


def find_news(before: Snapshot, now: Snapshot) -> tuple[News, ...]:
    """The changes between two snapshots, the most urgent first. Over several snapshots no change is found twice."""
    known = {run.id: (kind_of(run), run.outcome) for run in (*before.live, *before.recent)}
    found = [
        News(kind=kind, run=run)
        for run in (*now.live, *now.recent)
        if (kind := kind_of(run)) is not None and known.get(run.id) != (kind, run.outcome)
    ]
    return tuple(sorted(found, key=lambda each: each.kind))


def notice_line(items: Iterable[News]) -> Span:
    """One line: the most urgent change by name, then the number of others of each kind.

    Raises ValueError if `items` is empty.
    """
    first, *others = sorted(items, key=lambda each: each.kind)
    counts = {kind: sum(each.kind is kind for each in others) for kind in NewsKind}
    more = [f"{count} more {_COUNTED[kind]}" for kind, count in counts.items() if count]
    return Span("  ".join((_sentence(first), *more)), _TONES.get(first.kind, _tone_of_ending(first.run)))


def _sentence(item: News) -> str:
    run, name = item.run, sanitize_cell(item.run.task)
    if run.outcome is not None:
        cut_off = item.kind is NewsKind.CUT_OFF
        return f"{name} was cut off: {outcome_word(run.outcome)}" if cut_off else f"{name}: {outcome_word(run.outcome)}"
    if item.kind is NewsKind.WAITING:
        return f"{name} waits for approval"
    return f"{name} is unconfirmed" if run.state is State.UNCONFIRMED else f"{name}: no proof of a stop"


def _tone_of_ending(run: Run) -> Tone:
    return Tone.OK if run.outcome is Outcome.OK else Tone.PLAIN


LEAST_MS = 1_200
"""The shortest time in milliseconds that a notice stands, even if keys are pressed."""


class NoticeTimer:
    """Decides how long the present notice stands: its time, or until a key once it could be read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = self._until = 0

    def start(self, for_ms: int) -> None:
        """A notice for `for_ms` milliseconds is shown."""
        self._since = self._clock.now().boot_ms
        self._until = self._since + for_ms

    def key_pressed(self) -> bool:
        """A key was pressed; returns True if the notice is to be removed."""
        self._until = min(self._until, self._since + LEAST_MS)
        return self.is_over

    @property
    def is_over(self) -> bool:
        """True once the notice has stood for its time."""
        return self._clock.now().boot_ms >= self._until


BELL = "\x07"


def title_sequence(words: str) -> str:
    """The control sequence that sets the title of the window."""
    return f"\x1b]2;{words}\x07"


class Notifier:
    """Finds news in each refresh, and remembers it until a key is pressed."""

    def __init__(self, write: Callable[[str], None], *, bell: bool, titles: bool) -> None:
        """`write` writes to the terminal. `titles` is true for a terminal that has window titles."""
        self._write = write
        self._bell = bell
        self._titles = titles
        self._before: Snapshot | None = None
        self._unseen: list[News] = []
        self._title: str | None = None

    def update(self, view: ViewState) -> Span | None:
        """The notice to show; None if there is no news.

        The first snapshot is the baseline; nothing is reported for it.
        """
        if view.trouble:
            return None
        before, self._before = self._before, view.snapshot
        fresh = find_news(before, view.snapshot) if before is not None else ()
        if not fresh:
            return None
        self._unseen += fresh
        if self._bell and any(each.kind is not NewsKind.FINISHED for each in fresh):
            self._write(BELL)
        self._set_title(TITLES.get(min(each.kind for each in self._unseen)))
        return notice_line(self._unseen)

    def mark_seen(self) -> None:
        """A key was pressed: the operator has seen the news."""
        self._unseen.clear()
        if self._title is not None:
            self._set_title(QUIET_TITLE)

    def _set_title(self, words: str | None) -> None:
        if self._titles and words is not None and words != self._title:
            self._title = words
            self._write(title_sequence(words))
