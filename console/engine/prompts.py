"""The prompt of a task in the config, compared with that of the last run which a person launched or approved.

Of the prompt of a run only hash and length are stored. The texts of earlier configs are in memory only, for as long as
this process lives, so that a prompt that was edited meanwhile can be shown beside the new one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from console.domain.run import Run
from console.domain.task import Fingerprint, Origin, Stage, Task
from console.engine.settings import EngineSettings
from console.store.history import History, HistoryFilter

LOOKED_AT = 20
"""Entries of the history among which the last approved run is looked for."""
MAX_TEXTS = 500
"""Texts of prompts that are kept in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptComparison:
    """The prompt of a task as the config has it, and what a person agreed to last."""

    text: str
    """Not sanitized."""
    sha256: str
    approved: Run | None = None
    """The newest run of the task that a person launched or approved; None where there is none."""
    approved_text: str | None = None
    """The prompt of that run, if this process knows it."""

    @property
    def has_changed(self) -> bool:
        """True where the last approved run had another prompt."""
        return self.approved is not None and self.approved.fingerprint.prompt_sha256 != self.sha256


class Prompts:
    """Remembers the prompts of the configs that this process had, and finds what was approved last."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._settings: EngineSettings | None = None

    def remember(self, settings: EngineSettings) -> None:
        """Keep the prompts of these settings in memory."""
        if settings is self._settings:
            return
        self._settings = settings
        for task in settings.tasks:
            self._texts[Fingerprint.of(task).prompt_sha256] = task.prompt
        while len(self._texts) > MAX_TEXTS:
            self._texts.popitem(last=False)

    async def compare(self, task: Task) -> PromptComparison:
        """The prompt of the task beside the last approved one. Raises StoreError."""
        approved = await self._last_approved(task.name)
        earlier = self._texts.get(approved.fingerprint.prompt_sha256) if approved is not None else None
        sha256 = Fingerprint.of(task).prompt_sha256
        return PromptComparison(text=task.prompt, sha256=sha256, approved=approved, approved_text=earlier)

    async def _last_approved(self, name: str) -> Run | None:
        by_hand = HistoryFilter(tasks=(name,), origins=(Origin.MANUAL,))
        approved = HistoryFilter(tasks=(name,), stages=(Stage.SEMI,), origins=(Origin.SCHEDULE,))
        pages = [await self._history.page(wanted, limit=LOOKED_AT) for wanted in (by_hand, approved)]
        return _newest(run for page in pages for run in page.runs if run.sent is not None)


def _newest(runs: Iterable[Run]) -> Run | None:
    return max(runs, key=lambda run: (run.created_ms, run.id), default=None)
