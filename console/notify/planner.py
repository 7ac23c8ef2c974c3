"""Decides which notices leave now: each once, not too often, and not in quiet hours unless they are urgent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from console.config.settings import NotifySettings
from console.domain.formatting import HOUR, MINUTE, at
from console.domain.notice import Notice, NoticeKind
from console.domain.task import Stage
from console.engine.notices import demotions
from console.notify.history import NoticeHistory

AGAIN_MS = HOUR
"""What went away and comes back within this is not told again."""
UNSCHEDULED_MS = MINUTE
"""Nobody schedules for this long before it is told: a restart of `serve` takes seconds."""


class Planner:
    """Plans messages from what stands now. It keeps the history; who sends the messages writes it down."""

    def __init__(self, history: NoticeHistory | None) -> None:
        """`history` is None where nobody was ever told anything: endings from before are then not told either."""
        self._is_first = history is None
        self.history = history or NoticeHistory()
        self._under_way: set[str] = set()
        """Ids of notices that were planned and are not told yet."""
        self._held: dict[str, Notice] = {}
        self._since: dict[str, int] = {}
        """When a notice was first seen, by its id."""

    def plan(
        self, standing: Iterable[Notice], stages: Mapping[str, Stage], now_ms: int, use: NotifySettings, zone: ZoneInfo
    ) -> tuple[Notice, ...]:
        """The notices that leave now, in one message. `stages` are those of all tasks."""
        standing = tuple(standing)
        ids = {each for notice in standing for each in notice.ids}
        if self._is_first:
            self._begin(standing, stages, at(now_ms, zone), use)
        self._note_gone(ids, now_ms)
        demoted = demotions(self.history.stages, stages)
        self._follow_stages(stages, demoted)
        self._since = {each: self._since.get(each, now_ms) for each in ids}
        self._hold((*standing, *demoted), now_ms, use)
        # What is over before it was told needs nobody, unless it is an event.
        self._held = {name: each for name, each in self._held.items() if name in ids or _is_event(each)}
        return self._leaving(now_ms, use, zone)

    def plan_in_trouble(
        self, standing: Iterable[Notice], now_ms: int, use: NotifySettings, zone: ZoneInfo
    ) -> tuple[Notice, ...]:
        """As `plan`, while the store cannot be read: `standing` is what is known without it."""
        standing = tuple(standing)
        self._since |= {each.id: self._since.get(each.id, now_ms) for each in standing}
        self._hold(standing, now_ms, use)
        return self._leaving(now_ms, use, zone)

    def _hold(self, notices: Iterable[Notice], now_ms: int, use: NotifySettings) -> None:
        for notice in notices:
            if notice.id in self.history.gone or notice.id in self._under_way or not self._has_settled(notice, now_ms):
                continue
            if notice.kind.word in use.kinds:
                self._held[notice.id] = notice
            elif _is_event(notice):
                # Not told either if its kind is switched on later.
                self._mark_told(notice)

    def _leaving(self, now_ms: int, use: NotifySettings, zone: ZoneInfo) -> tuple[Notice, ...]:
        leaving = [each for each in self._held.values() if self._may_leave(each.kind, now_ms, use, zone)]
        for notice in leaving:
            self.history.sent[notice.kind.word] = now_ms
            self._under_way.add(notice.id)
            del self._held[notice.id]
        return tuple(sorted(leaving, key=lambda each: each.kind))

    def finished(self, notices: Iterable[Notice]) -> None:
        """A message with `notices` has left, or was given up by every channel."""
        for notice in notices:
            self._under_way.discard(notice.id)
            self._mark_told(notice)

    def summary_is_due(self, now_ms: int, use: NotifySettings, zone: ZoneInfo) -> bool:
        """True once a day, from the time of the daily summary on; the day counts as reported then."""
        now = at(now_ms, zone)
        if use.summary is None or _minute(now) < use.summary or self.history.summary >= f"{now:%Y-%m-%d}":
            return False
        self.history.summary = f"{now:%Y-%m-%d}"
        return True

    def _begin(
        self, standing: Iterable[Notice], stages: Mapping[str, Stage], now: datetime, use: NotifySettings
    ) -> None:
        self._is_first = False
        self.history.stages = dict(stages)
        self.history.gone |= {name: None for each in standing if each.is_ending for name in each.ids}
        if use.summary is not None and _minute(now) >= use.summary:
            self.history.summary = f"{now:%Y-%m-%d}"

    def _note_gone(self, standing: set[str], now_ms: int) -> None:
        gone = self.history.gone
        for name, since in list(gone.items()):
            if name in standing:
                gone[name] = None
            elif since is None:
                gone[name] = now_ms
            elif now_ms - since > AGAIN_MS:
                del gone[name]

    def _follow_stages(self, stages: Mapping[str, Stage], demoted: Iterable[Notice]) -> None:
        """Promotions are known at once, demotions once they were told."""
        waiting = {notice.subject for notice in demoted}
        for task, stage in stages.items():
            if f"{task} {stage.label}" not in waiting:
                self.history.stages[task] = stage

    def _has_settled(self, notice: Notice, now_ms: int) -> bool:
        if notice.kind is not NoticeKind.NOBODY_SCHEDULES:
            return True
        return now_ms - self._since.get(notice.id, now_ms) >= UNSCHEDULED_MS

    def _mark_told(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.DEMOTED:
            task, _, label = notice.subject.rpartition(" ")
            self.history.stages[task] = next(stage for stage in Stage if stage.label == label)
        else:
            self.history.gone |= dict.fromkeys(notice.ids)

    def _may_leave(self, kind: NoticeKind, now_ms: int, use: NotifySettings, zone: ZoneInfo) -> bool:
        is_quiet = use.quiet is not None and use.quiet.holds(_minute(at(now_ms, zone)))
        if is_quiet and kind.word not in use.quiet_kinds:
            return False
        # A clock that was set back delays nothing.
        return not 0 <= now_ms - self.history.sent.get(kind.word, -use.debounce_ms) < use.debounce_ms


def _is_event(notice: Notice) -> bool:
    return notice.is_ending or notice.kind is NoticeKind.DEMOTED


def _minute(moment: datetime) -> int:
    return moment.hour * 60 + moment.minute
