"""What happened to runs between two looks that somebody wants to be told: each change once, the most urgent first."""

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
    """The most urgent one is the smallest."""

    UNCONFIRMED = 0
    """Nobody knows what became of it, or a stop is not proven after the alarm."""
    CUT_OFF = 1
    WAITING = 2
    """Proposed: it waits for approval."""
    FAILED = 3
    FINISHED = 4
    """Ended well, or as a person wanted it; told, but it rings no bell."""


TITLES = {
    NewsKind.UNCONFIRMED: "nightdesk: unconfirmed",
    NewsKind.CUT_OFF: "nightdesk: cut off",
    NewsKind.WAITING: "nightdesk: waits for approval",
    NewsKind.FAILED: "nightdesk: failed",
}
"""The window's title until somebody presses a key. Fixed words: nothing from outside gets there."""

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
"""What is not here, a person ruled a moment ago, or it never was a run."""

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
    """What there is to tell of a run that stands like this; None while it is only under way."""
    if run.outcome is not None:
        return _ENDINGS.get(run.outcome)
    if run.state is State.UNCONFIRMED or (run.stop is not None and run.stop.alarmed):
        return NewsKind.UNCONFIRMED
    return NewsKind.WAITING if run.state is State.PROPOSED else None


def find_news(before: Snapshot, now: Snapshot) -> tuple[News, ...]:
    """What changed from one look to a later one, the most urgent first; nothing twice over any number of looks."""
    known = {run.id: (kind_of(run), run.outcome) for run in (*before.live, *before.recent)}
    found = [
        News(kind=kind, run=run)
        for run in (*now.live, *now.recent)
        if (kind := kind_of(run)) is not None and known.get(run.id) != (kind, run.outcome)
    ]
    return tuple(sorted(found, key=lambda each: each.kind))


def notice_line(items: Iterable[News]) -> Span:
    """One line: the most urgent by name, how many others of each kind. Raises ValueError where there is nothing."""
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
"""So long it stays though keys are pressed."""


class NoticeTimer:
    """The time of the notice that is shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = self._until = 0

    def show(self, for_ms: int) -> None:
        """A notice begins to stand."""
        self._since = self._clock.now().boot_ms
        self._until = self._since + for_ms

    def read(self) -> bool:
        """A key was pressed; True where the notice goes."""
        self._until = min(self._until, self._since + LEAST_MS)
        return self.is_over

    @property
    def is_over(self) -> bool:
        """True once it has stood for its time."""
        return self._clock.now().boot_ms >= self._until


BELL = "\x07"


def title_sequence(words: str) -> str:
    """The sequence that names the window."""
    return f"\x1b]2;{words}\x07"


class Notifier:
    """Keeps the last look that could be read, and what nobody has answered yet with a key."""

    def __init__(self, write: Callable[[str], None], *, bell: bool, titles: bool) -> None:
        """`write`: to the terminal. `titles`: the terminal knows window titles."""
        self._write = write
        self._bell = bell
        self._titles = titles
        self._before: Snapshot | None = None
        self._unseen: list[News] = []
        self._title: str | None = None

    def hear(self, view: ViewState) -> Span | None:
        """The line to show; None where nothing is new. The first look is where the telling starts from."""
        if view.trouble:
            return None
        before, self._before = self._before, view.snapshot
        fresh = find_news(before, view.snapshot) if before is not None else ()
        if not fresh:
            return None
        self._unseen += fresh
        if self._bell and any(each.kind is not NewsKind.FINISHED for each in fresh):
            self._write(BELL)
        self._entitle(TITLES.get(min(each.kind for each in self._unseen)))
        return notice_line(self._unseen)

    def seen(self) -> None:
        """Somebody is there."""
        self._unseen.clear()
        if self._title is not None:
            self._entitle(QUIET_TITLE)

    def _entitle(self, words: str | None) -> None:
        if self._titles and words is not None and words != self._title:
            self._title = words
            self._write(title_sequence(words))
