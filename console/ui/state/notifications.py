"""Bell, window title and the line on the screen for what came up: each notice once, the most urgent first.

What is a notice is decided in `console.engine.notices`, for the screen and for messages alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from console.domain.notice import Notice, NoticeKind
from console.domain.timestamps import Clock
from console.engine.models import Snapshot
from console.engine.notices import find_notices
from console.ui.spans import Span, Tone, sanitize_cell
from console.ui.state.view_state import ViewState

TITLES = {
    NoticeKind.UNCONFIRMED: "unconfirmed",
    NoticeKind.OFFLINE: "offline",
    NoticeKind.TROUBLE: "trouble",
    NoticeKind.NOBODY_SCHEDULES: "nobody schedules",
    NoticeKind.CUT_OFF: "cut off",
    NoticeKind.WAITING: "waits for approval",
    NoticeKind.EXPIRING: "expires soon",
    NoticeKind.FAILED: "failed",
    NoticeKind.MISSED: "missed",
    NoticeKind.STALLED: "stalled",
    NoticeKind.DEMOTED: "demoted",
    NoticeKind.CAP_REACHED: "cap reached",
    NoticeKind.CAP_NEAR: "cap",
}
"""The end of the title of the window until a key is pressed. Only these fixed texts follow the name of the session."""

QUIET_TITLE = "nightdesk"

_TONES = {
    NoticeKind.UNCONFIRMED: Tone.LOUD,
    NoticeKind.OFFLINE: Tone.LOUD,
    NoticeKind.TROUBLE: Tone.LOUD,
    NoticeKind.NOBODY_SCHEDULES: Tone.LOUD,
    NoticeKind.CUT_OFF: Tone.BAD,
    NoticeKind.WAITING: Tone.WAIT,
    NoticeKind.EXPIRING: Tone.WAIT,
    NoticeKind.FAILED: Tone.BAD,
    NoticeKind.MISSED: Tone.WARN,
    NoticeKind.STALLED: Tone.WARN,
    NoticeKind.DEMOTED: Tone.BAD,
    NoticeKind.CAP_REACHED: Tone.WARN,
    NoticeKind.CAP_NEAR: Tone.WARN,
    NoticeKind.FINISHED: Tone.PLAIN,
}
_COUNTED = {
    NoticeKind.UNCONFIRMED: "unconfirmed",
    NoticeKind.OFFLINE: "offline",
    NoticeKind.TROUBLE: "not working",
    NoticeKind.NOBODY_SCHEDULES: "unscheduled",
    NoticeKind.CUT_OFF: "cut off",
    NoticeKind.WAITING: "waiting",
    NoticeKind.EXPIRING: "expiring",
    NoticeKind.FAILED: "failed",
    NoticeKind.MISSED: "missed",
    NoticeKind.STALLED: "stalled",
    NoticeKind.DEMOTED: "demoted",
    NoticeKind.CAP_REACHED: "caps reached",
    NoticeKind.CAP_NEAR: "caps",
    NoticeKind.FINISHED: "finished",
}


def notice_line(items: Iterable[Notice]) -> Span:
    """One line: the most urgent change by name, then the number of others of each kind.

    Raises ValueError if `items` is empty.
    """
    first, *others = sorted(items, key=lambda each: each.kind)
    counts = {kind: sum(each.kind is kind for each in others) for kind in NoticeKind}
    more = [f"{count} more {_COUNTED[kind]}" for kind, count in counts.items() if count]
    return Span("  ".join((sanitize_cell(first.text), *more)), Tone.OK if first.is_good else _TONES[first.kind])


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

    def __init__(self, write: Callable[[str], None], *, bell: bool, titles: bool, session: str = "") -> None:
        """`write` writes to the terminal. `titles` is true for a terminal that has window titles; they begin with
        the sanitized name of the session."""
        self._write = write
        self._quiet_title = f"{QUIET_TITLE} {session}".strip()
        self._bell = bell
        self._titles = titles
        self._before: Snapshot | None = None
        self._unseen: list[Notice] = []
        self._told_caps: set[str] = set()
        self._title: str | None = None

    def update(self, view: ViewState) -> Span | None:
        """The notice to show; None if there is no news.

        The first snapshot is the baseline; nothing is reported for it.
        """
        if view.trouble:
            return None
        before, self._before = self._before, view.snapshot
        if before is None and self._quiet_title != QUIET_TITLE:
            self._set_title("")
        fresh = find_notices(before, view.snapshot) if before is not None else ()
        fresh = tuple(each for each in fresh if not self._is_repeated(each))
        if not fresh:
            return None
        self._unseen += fresh
        if self._bell and any(each.kind is not NoticeKind.FINISHED for each in fresh):
            self._write(BELL)
        urgent = min(each.kind for each in self._unseen)
        if urgent in TITLES:
            self._set_title(TITLES[urgent])
        return notice_line(self._unseen)

    def _is_repeated(self, notice: Notice) -> bool:
        """True for a cap that was reported in its period: its use goes up and down with the runs."""
        if notice.kind not in (NoticeKind.CAP_NEAR, NoticeKind.CAP_REACHED):
            return False
        is_repeated = notice.id in self._told_caps
        self._told_caps.update(notice.ids)
        return is_repeated

    def mark_seen(self) -> None:
        """A key was pressed: the operator has seen the news."""
        self._unseen.clear()
        if self._title is not None:
            self._set_title("")

    def _set_title(self, news: str) -> None:
        title = f"{self._quiet_title}: {news}" if news else self._quiet_title
        if self._titles and title != self._title:
            self._title = title
            self._write(title_sequence(title))
