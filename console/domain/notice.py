"""What a person must be told, as a value: its kind, what it is about, and one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from console.domain.run import RunId


class NoticeKind(IntEnum):
    """The kinds of notices; the most urgent one has the lowest number."""

    UNCONFIRMED = 0
    """The outcome of a launch is unknown, or a stop is overdue and not proven."""
    OFFLINE = 1
    """The provider does not answer."""
    TROUBLE = 2
    """Something else of the supervision does not work."""
    NOBODY_SCHEDULES = 3
    """Tasks are due and nobody schedules."""
    CUT_OFF = 4
    WAITING = 5
    """A proposal waits for approval."""
    EXPIRING = 6
    """A proposal is about to expire."""
    FAILED = 7
    MISSED = 8
    """Scheduled times passed while nobody scheduled."""
    STALLED = 9
    DEMOTED = 10
    CAP_REACHED = 11
    CAP_NEAR = 12
    FINISHED = 13
    """Ended ok or cancelled by a person."""

    @property
    def word(self) -> str:
        """Its name in the config and in messages: `cut_off`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that a person must be told."""

    kind: NoticeKind
    subject: str
    """What it is about, among those of its kind: a run id, a cap and its period, the topic of a problem."""
    text: str
    """One sanitized sentence without a stop at its end, for the screen."""
    public: str = ""
    """What may leave the machine in place of `text`, where that may quote an error; empty where `text` may."""
    task: str | None = None
    """Sanitized."""
    run: RunId | None = None
    is_good: bool = False
    """True for a run that ended ok."""
    is_ending: bool = False
    """True for a run that ended."""
    covers: tuple[str, ...] = ()
    """Ids of lesser notices that this one reports with it."""

    @property
    def id(self) -> str:
        """The same for every notice of the same thing."""
        return f"{self.kind.word} {self.subject}".strip()

    @property
    def ids(self) -> tuple[str, ...]:
        """Its own id and those of what it covers."""
        return (self.id, *self.covers)

    @property
    def outside(self) -> str:
        """The sentence for a message that leaves the machine."""
        return self.public or self.text
