"""Notices, bell and window title about what changed: each change is reported once, the most urgent first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from console.domain.limits import UNIT_CAPS, CapUsage
from console.domain.run import Outcome, Run, RunId, State
from console.domain.task import Stage
from console.domain.timestamps import Clock
from console.engine.models import Snapshot
from console.engine.problems import Problem
from console.engine.reachability import OFFLINE
from console.ui.format import DAY, MINUTE, SECOND
from console.ui.spans import Span, Tone, sanitize_cell
from console.ui.state.view_state import ViewState


class NewsKind(IntEnum):
    """The kinds of news; the most urgent one has the lowest number."""

    UNCONFIRMED = 0
    """The outcome of a launch is unknown, or a stop is overdue and not proven."""
    OFFLINE = 1
    """The provider does not answer, or something else of the supervision does not work."""
    UNSCHEDULED = 2
    """Tasks are due and nobody schedules."""
    CUT_OFF = 3
    WAITING = 4
    """A proposal that waits for approval, or that is about to expire."""
    FAILED = 5
    STALLED = 6
    DEMOTED = 7
    CAP = 8
    """A cap is nearly reached, or reached."""
    FINISHED = 9
    """Ended ok or cancelled by a person; shown without a bell."""


TITLES = {
    NewsKind.UNCONFIRMED: "unconfirmed",
    NewsKind.OFFLINE: "trouble",
    NewsKind.UNSCHEDULED: "nobody schedules",
    NewsKind.CUT_OFF: "cut off",
    NewsKind.WAITING: "waits for approval",
    NewsKind.FAILED: "failed",
    NewsKind.STALLED: "stalled",
    NewsKind.DEMOTED: "demoted",
    NewsKind.CAP: "cap",
}
"""The end of the title of the window until a key is pressed. Only these fixed texts follow the name of the session."""

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
    NewsKind.OFFLINE: Tone.LOUD,
    NewsKind.UNSCHEDULED: Tone.LOUD,
    NewsKind.CUT_OFF: Tone.BAD,
    NewsKind.WAITING: Tone.WAIT,
    NewsKind.FAILED: Tone.BAD,
    NewsKind.STALLED: Tone.WARN,
    NewsKind.DEMOTED: Tone.BAD,
    NewsKind.CAP: Tone.WARN,
    NewsKind.FINISHED: Tone.PLAIN,
}
_COUNTED = {
    NewsKind.UNCONFIRMED: "unconfirmed",
    NewsKind.OFFLINE: "not working",
    NewsKind.UNSCHEDULED: "unscheduled",
    NewsKind.CUT_OFF: "cut off",
    NewsKind.WAITING: "waiting",
    NewsKind.FAILED: "failed",
    NewsKind.STALLED: "stalled",
    NewsKind.DEMOTED: "demoted",
    NewsKind.CAP: "caps",
    NewsKind.FINISHED: "finished",
}
SETTLED_MS = 5 * SECOND
"""A problem is news once it has lasted for this long; what is over sooner repairs itself."""
EXPIRING_MS = 15 * MINUTE
"""A proposal is about to expire when this is left."""
NEAR_PERCENT = 80
"""A cap is nearly reached at this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One change."""

    kind: NewsKind
    text: str
    """One sanitized sentence without a stop at its end."""
    is_good: bool = False
    """True for a run that ended ok."""


def kind_of(run: Run) -> NewsKind | None:
    """The kind of news that a run in this state is; None for a run that is just running."""
    if run.outcome is not None:
        return _ENDINGS.get(run.outcome)
    if run.state is State.UNCONFIRMED or (run.stop is not None and run.stop.alarmed):
        return NewsKind.UNCONFIRMED
    if run.state is State.PROPOSED:
        return NewsKind.WAITING
    return NewsKind.STALLED if run.stalled and run.state is State.RUNNING else None


def find_news(before: Snapshot, now: Snapshot) -> tuple[News, ...]:
    """The changes between two snapshots, the most urgent first. Over several snapshots no change is found twice,
    except of a cap whose use goes up and down."""
    found = (*_of_runs(before, now), *_of_problems(before, now), *_of_tasks(before, now), *_of_caps(before, now))
    return tuple(sorted(found, key=lambda each: each.kind))


def _of_runs(before: Snapshot, now: Snapshot) -> Iterator[News]:
    known: dict[RunId, tuple[object, ...]] = {run.id: _standing(run, before) for run in (*before.live, *before.recent)}
    for run in (*now.live, *now.recent):
        kind = kind_of(run)
        if kind is not None and known.get(run.id) != _standing(run, now):
            yield News(kind=kind, text=_sentence(run, kind, now), is_good=run.outcome is Outcome.OK)


def _standing(run: Run, snapshot: Snapshot) -> tuple[object, ...]:
    """What is compared: news is only what differs in this."""
    return kind_of(run), run.outcome, _expires_soon(run, snapshot)


def _expires_soon(run: Run, snapshot: Snapshot) -> bool:
    left = run.expires_ms - snapshot.taken.wall_ms if run.expires_ms is not None else None
    return run.state is State.PROPOSED and left is not None and left <= EXPIRING_MS


def _sentence(run: Run, kind: NewsKind, now: Snapshot) -> str:
    name = sanitize_cell(run.task)
    if run.outcome is not None:
        cut_off = kind is NewsKind.CUT_OFF
        return f"{name} was cut off: {run.outcome_words}" if cut_off else f"{name}: {run.outcome_words}"
    if kind is NewsKind.WAITING:
        return f"{name} expires soon without approval" if _expires_soon(run, now) else f"{name} waits for approval"
    if kind is NewsKind.STALLED:
        return f"{name} stalled: no new step"
    return f"{name} is unconfirmed" if run.state is State.UNCONFIRMED else f"{name}: no proof of a stop"


def _of_problems(before: Snapshot, now: Snapshot) -> Iterator[News]:
    known = {(problem.topic, problem.pid) for problem in before.problems if _has_lasted(problem, before)}
    for problem in now.problems:
        if _has_lasted(problem, now) and (problem.topic, problem.pid) not in known:
            yield News(kind=NewsKind.OFFLINE, text=sanitize_cell(problem.text))


def _has_lasted(problem: Problem, snapshot: Snapshot) -> bool:
    if problem.over_ms is not None:
        return False
    return problem.topic == OFFLINE or snapshot.taken.wall_ms - problem.since_ms >= SETTLED_MS


def _of_tasks(before: Snapshot, now: Snapshot) -> Iterator[News]:
    """Demotions, and a schedule that nobody keeps any more."""
    for task, stage in now.stages.items():
        if stage < before.stages.get(task, Stage.MANUAL):
            yield News(kind=NewsKind.DEMOTED, text=f"{sanitize_cell(task)} was demoted to {stage.label}")
    if now.nobody_schedules and not before.nobody_schedules and now.next_launch is not None:
        text = f"nobody schedules: {sanitize_cell(now.next_launch.task)} will be missed"
        yield News(kind=NewsKind.UNSCHEDULED, text=text)


def _of_caps(before: Snapshot, now: Snapshot) -> Iterator[News]:
    earlier = {each.cap: _fullness(each) for each in before.cap_usages}
    for cap_usage in now.cap_usages:
        level = _fullness(cap_usage)
        if level > earlier.get(cap_usage.cap, 100):
            text = "is reached" if level == 100 else f"is used to {NEAR_PERCENT} %"
            yield News(kind=NewsKind.CAP, text=f"{cap_usage.cap.value} {text}")


def _fullness(cap_usage: CapUsage) -> int:
    """100 for a cap that is reached, 80 for one that nearly is, else 0; always 0 for the number of live runs."""
    taken = cap_usage.held + cap_usage.spent
    if cap_usage.frees_at_ms is None or not cap_usage.limit:
        return 0
    if taken >= cap_usage.limit and (cap_usage.cap not in UNIT_CAPS or cap_usage.spent >= cap_usage.limit):
        return 100
    return NEAR_PERCENT if taken * 100 >= cap_usage.limit * NEAR_PERCENT else 0


def notice_line(items: Iterable[News]) -> Span:
    """One line: the most urgent change by name, then the number of others of each kind.

    Raises ValueError if `items` is empty.
    """
    first, *others = sorted(items, key=lambda each: each.kind)
    counts = {kind: sum(each.kind is kind for each in others) for kind in NewsKind}
    more = [f"{count} more {_COUNTED[kind]}" for kind, count in counts.items() if count]
    return Span("  ".join((first.text, *more)), Tone.OK if first.is_good else _TONES[first.kind])


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
        self._unseen: list[News] = []
        self._told_caps: set[tuple[str, int]] = set()
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
        fresh = find_news(before, view.snapshot) if before is not None else ()
        fresh = tuple(each for each in fresh if not self._is_repeated(each, view.snapshot))
        if not fresh:
            return None
        self._unseen += fresh
        if self._bell and any(each.kind is not NewsKind.FINISHED for each in fresh):
            self._write(BELL)
        urgent = min(each.kind for each in self._unseen)
        if urgent in TITLES:
            self._set_title(TITLES[urgent])
        return notice_line(self._unseen)

    def _is_repeated(self, news: News, snapshot: Snapshot) -> bool:
        """True for a cap that was reported today: its use goes up and down with the runs."""
        if news.kind is not NewsKind.CAP:
            return False
        told = news.text, snapshot.taken.wall_ms // DAY
        if told in self._told_caps:
            return True
        self._told_caps.add(told)
        return False

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
