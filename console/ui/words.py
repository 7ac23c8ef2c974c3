"""The words for processes, users and numbers of runs, and the glossary of the help.

A module of its own because all screens use them.
"""

from __future__ import annotations

from console.domain.fact_text import author_text
from console.domain.run import Outcome, Run
from console.domain.task import DEFAULT_PROVIDER
from console.engine.models import Owner
from console.engine.settings import ProcessKind
from console.ui.glyphs import outcome_word
from console.ui.spans import sanitize_cell

_PROCESSES = {
    ProcessKind.GUARD.value: "the background process",
    ProcessKind.SERVE.value: "nightdesk serve",
    ProcessKind.RUN.value: "nightdesk run",
    ProcessKind.CONSOLE.value: "another console",
}

_ENDINGS = {
    Outcome.OK: "ended ok",
    Outcome.FAILED: "failed",
    Outcome.BUDGET: "was stopped by its budget",
    Outcome.TIMEOUT: "was stopped by its time limit",
    Outcome.CANCELLED: "was cancelled",
    Outcome.WRITTEN_OFF: "was written off",
}

GLOSSARY = (
    ("unit", "The measure of budgets and caps: by default one unit is 10,000 tokens."),
    ("hold", "The budget of a run, reserved in every cap until the run ends."),
    ("key", "Names one piece of work: task, target and date. A key is launched once."),
    ("stage", "What a task may do without a person: manual, semi (launches need approval) or unattended."),
    ("proposal", "A scheduled launch at stage semi. It waits for approval and expires without it."),
    ("unconfirmed", "A launch was sent and the reply was lost: an agent may be running. Key and hold stay taken."),
    ("settle", "To say what became of an unconfirmed run: found, not launched, or written off."),
    ("proof", "The end of a run as the provider shows it. A stop counts only with it."),
)
"""Words of the screens with what they mean."""


def user_text(by: str) -> str:
    """Who did something, as it is shown: `alice (terminal)` for the recorded `alice tty=yes`, or `root (sudo by alice;
    from 10.0.0.5; script)`."""
    return sanitize_cell(author_text(by))


def process_name(kind: str) -> str:
    """A process other than this console, by the kind that it registered with."""
    return _PROCESSES.get(kind, sanitize_cell(kind, limit=20))


def owner_name(owner: Owner) -> str:
    """A process that supervises: `this console`, `serve (pid 7)`, and in a fleet `serve (pid 7 on web2)`."""
    if owner.mine:
        return "this console"
    host = f" on {sanitize_cell(owner.host)}" if owner.host else ""
    return f"{process_name(owner.kind)} (pid {owner.pid}{host})"


def run_count(number: int) -> str:
    """`1 run`, `3 runs`."""
    return "1 run" if number == 1 else f"{number} runs"


def ending_text(outcome: Outcome) -> str:
    """What happened to a run that ended, behind its name: `was stopped by its budget`."""
    return _ENDINGS.get(outcome, f"ended {outcome_word(outcome)}")


def task_text(run: Run) -> str:
    """The task, and its provider where that is not the default one: `nightly-report @research`."""
    provider = run.fingerprint.provider
    return sanitize_cell(run.task if provider == DEFAULT_PROVIDER else f"{run.task} @{provider}")
