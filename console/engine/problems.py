"""What the operator must know now: one entry per topic, with its age and how often it happened.

A process keeps its problems in memory and publishes them in a small file beside its lock file, so that `ps`,
`doctor` and the consoles of other processes can show them while the state store itself does not work.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from console.domain.text import sanitize
from console.engine.kernel_locks import OWNERS_FOLDER
from console.engine.ownership import is_owner_id
from console.trusted_files import Unreadable, read_bounded, replace_private

log = logging.getLogger("nightdesk")

MISSED = "missed "
"""How the topic of the problem begins that a task missed scheduled times; its name follows."""
TELLING = frozenset({"notify", "otel"})
"""Topics about what leaves the machine. No guard depends on it, so that no message tells of them."""
TEXT_LIMIT = 300
"""Characters of one problem's text."""
MOST = 50
"""Problems kept at most; of more, the oldest are dropped."""
MAX_PUBLISHED = 1 << 20
"""Bytes of the file in which a process publishes its problems."""
STALE_MS = 120_000
"""A problem that lasts is reported again within this."""
KEPT_MS = 300_000
"""An unexpected error is still shown for this long after it went away, so that somebody sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that does not work now."""

    topic: str
    """What it is about: `store`, `log`, `run 01k…`, the name of a concern."""
    text: str
    """One cleaned line."""
    since_ms: int
    """Wall clock of the first time."""
    last_ms: int
    """Wall clock of the latest time."""
    count: int
    over_ms: int | None = None
    """Wall clock when it went away; None while it lasts."""
    pid: int | None = None
    """The process that reported it; None for this one."""

    def line(self, now_ms: int) -> str:
        """The text with its age and count: `store: busy (4 times in 12 s)`."""
        seconds = max(0, now_ms - self.since_ms) // 1000
        age = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
        times = f"{self.count} times in {age}" if self.count > 1 else f"{age} ago"
        if self.over_ms is not None:
            times += ", over"
        where = f"pid {self.pid}: " if self.pid is not None else ""
        return f"{where}{self.text} ({times})"


class Problems:
    """The problems of this process. Reporting one never raises."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """`now_ms` reads the wall clock."""
        self._now_ms = now_ms
        self._entries: dict[str, Problem] = {}
        self._sources: dict[str, dict[str, str]] = {}
        """By topic: who reported what is not over yet, each with its latest text."""
        self._lasting: set[str] = set()
        self._unexpected: set[str] = set()
        """Topics under which an exception was reported."""
        self._published: tuple[str, tuple[Problem, ...]] | None = None

    def report(
        self, topic: str, text: str, error: BaseException | None = None, *, source: str = "", lasting: bool = False
    ) -> None:
        """Show `text` under `topic` until its `source` clears it. With `error`, its traceback goes to the log.

        A topic lasts until each part that reported it has cleared it. One that is not reported again for `STALE_MS`
        counts as over too, unless it is `lasting`. A topic that keeps failing is logged at its 1st, 2nd, 4th, 8th …
        time.
        """
        with suppress(Exception):
            problem = self._add(topic, sanitize(text, limit=TEXT_LIMIT), has_error=error is not None)
            self._sources.setdefault(topic, {})[source] = problem.text
            if lasting:
                self._lasting.add(topic)
            if error is not None:
                self._log(problem, error)

    def report_once(self, topic: str, text: str, error: BaseException | None = None) -> None:
        """Report what went wrong and is not tried again: it is shown as over, for `KEPT_MS`."""
        with suppress(Exception):
            problem = self._add(topic, sanitize(text, limit=TEXT_LIMIT), has_error=error is not None)
            if not self._sources.get(topic):
                self._entries[topic] = replace(problem, over_ms=problem.last_ms)
            if error is not None:
                self._log(problem, error)

    def clear(self, topic: str, source: str | None = None) -> None:
        """What `source` reported under the topic works again; None: all of the topic does.

        Once nothing of the topic is left it is over. It stays for `KEPT_MS` then, if an unexpected error was reported.
        """
        sources = self._sources.get(topic, {})
        if source is None:
            sources.clear()
        else:
            sources.pop(source, None)
        known = self._entries.get(topic)
        if known is None or known.over_ms is not None:
            return
        if sources:
            *_, text = sources.values()
            self._entries[topic] = replace(known, text=text)
            return
        self._lasting.discard(topic)
        if topic in self._unexpected:
            self._entries[topic] = replace(known, over_ms=self._now_ms())
        else:
            self._drop(topic)

    def entries(self) -> tuple[Problem, ...]:
        """All problems, oldest topic first; those that are over too, while they are kept."""
        now = self._now_ms()
        for topic, entry in list(self._entries.items()):
            if entry.over_ms is None and topic not in self._lasting and now - entry.last_ms > STALE_MS:
                self._entries[topic] = entry = replace(entry, over_ms=entry.last_ms)
                self._sources.pop(topic, None)
            if entry.over_ms is not None and now - entry.over_ms > KEPT_MS:
                self._drop(topic)
        return tuple(self._entries.values())

    def _add(self, topic: str, text: str, *, has_error: bool) -> Problem:
        now = self._now_ms()
        known = self._entries.get(topic)
        if known is None or (known.over_ms is not None and not has_error):
            problem = Problem(topic=topic, text=text, since_ms=now, last_ms=now, count=1)
        else:
            problem = replace(known, text=text, last_ms=now, count=known.count + 1, over_ms=None)
        self._entries[topic] = problem
        if has_error:
            self._unexpected.add(topic)
        while len(self._entries) > MOST:
            over = (name for name, entry in self._entries.items() if entry.over_ms is not None)
            self._drop(next(over, None) or next(iter(self._entries)))
        return problem

    def _drop(self, topic: str) -> None:
        self._entries.pop(topic, None)
        self._sources.pop(topic, None)
        self._lasting.discard(topic)
        self._unexpected.discard(topic)

    @staticmethod
    def _log(problem: Problem, error: BaseException) -> None:
        if problem.count & (problem.count - 1) == 0:
            log.error("%s: %s (%d times)", problem.topic, problem.text, problem.count, exc_info=error)

    async def publish(self, path: Path, *, config: str) -> None:
        """Write the problems to `path` (mode 0600) where they changed since the last call. Raises OSError.

        `config` is the fingerprint of the settings this process judges by. Written in a thread: a disk that does not
        answer holds up only this.
        """
        entries = self.entries()
        if self._published == (config, entries):
            return
        text = json.dumps({"pid": os.getpid(), "config": config, "problems": [asdict(entry) for entry in entries]})
        await asyncio.to_thread(replace_private, path, text)
        self._published = (config, entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What another process says of itself."""

    config: str = ""
    """The fingerprint of its settings."""
    problems: tuple[Problem, ...] = ()


def problems_path(folder: Path, owner: str) -> Path:
    """The file in which `owner` publishes its problems; `folder` is the state folder. Raises ValueError for no id."""
    if not is_owner_id(owner):
        raise ValueError(f"not an owner id: {owner!r}")
    return folder / OWNERS_FOLDER / f"{owner}.problems"


def read_published(path: Path) -> Published:
    """What the process of that file published; empty where there is no file or it cannot be read."""
    try:
        found = json.loads(read_bounded(path, most=MAX_PUBLISHED))
        pid = int(found["pid"])
        problems = tuple(
            Problem(
                topic=sanitize(str(entry["topic"]), limit=80),
                text=sanitize(str(entry["text"]), limit=TEXT_LIMIT),
                since_ms=int(entry["since_ms"]),
                last_ms=int(entry["last_ms"]),
                count=int(entry["count"]),
                over_ms=None if entry["over_ms"] is None else int(entry["over_ms"]),
                pid=pid,
            )
            for entry in found["problems"][:MOST]
        )
        return Published(config=str(found["config"]), problems=problems)
    except (Unreadable, ValueError, KeyError, TypeError, RecursionError):
        return Published()
