"""The words of the simulated agent: a believable writer of nightly reports, shown wherever its steps are shown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class ActionKind(StrEnum):
    """One thing that the agent does. Every kind but THOUGHT is a tool call with a result."""

    THOUGHT = "thought"
    CODE = "code"
    SEARCH = "search"
    PAGE = "page"
    FILE = "file"
    OPERATOR = "operator"
    """A question to the operator; the run waits for its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAction:
    """One action of the script. `{n}` in its texts is replaced by a number that differs between runs."""

    kind: ActionKind
    request: str
    """The thought, the shell command, the search, the address, or the name and target of a file tool."""
    answer: str = ""
    """What the tool returns."""


_SCRIPT: tuple[AgentAction, ...] = (
    AgentAction(
        kind=ActionKind.THOUGHT,
        request="Plan: collect yesterday's errors from the service logs, group them by cause, compare with the mean of "
        "the last seven days, then write the report and open a draft.",
    ),
    AgentAction(
        kind=ActionKind.CODE,
        request="ls -lh logs/ | tail -4",
        answer="-rw-r--r-- 1 agent agent  48M api.log\n-rw-r--r-- 1 agent agent  12M worker.log\n"
        "-rw-r--r-- 1 agent agent 3.1M cron.log\n-rw-r--r-- 1 agent agent 640K deploy.log",
    ),
    AgentAction(kind=ActionKind.CODE, request="grep -c ' ERROR ' logs/api.log", answer="{n}"),
    AgentAction(
        kind=ActionKind.THOUGHT,
        request="{n} errors is well above the usual. "
        "Most of them will share a few causes; count by exception class first.",
    ),
    AgentAction(
        kind=ActionKind.CODE,
        request="awk '/ ERROR /{print $6}' logs/api.log | sort | uniq -c | sort -rn | head -5",
        answer="    {n} SerializationFailure\n    312 UpstreamTimeout\n     57 ValidationError\n"
        "     12 KeyError\n      3 OSError",
    ),
    AgentAction(
        kind=ActionKind.SEARCH,
        request="could not serialize access due to concurrent update retry strategy",
        answer="Serialization failures are expected at this isolation level; applications retry the transaction.",
    ),
    AgentAction(
        kind=ActionKind.PAGE, request="https://www.postgresql.org/docs/current/transaction-iso.html", answer="success"
    ),
    AgentAction(
        kind=ActionKind.FILE,
        request="view_file services/orders/checkout.py",
        answer="118: def settle(order):\n119:     with transaction(isolation='serializable'):\n"
        "120:         return _settle(order)   # no retry here",
    ),
    AgentAction(
        kind=ActionKind.THOUGHT,
        request="checkout.settle has no retry since the last deploy; the first failure is 4 minutes after it. "
        "That explains the burst. Check the deploy log before claiming it.",
    ),
    AgentAction(
        kind=ActionKind.CODE,
        request="grep -n 'orders' logs/deploy.log | tail -3",
        answer="{n}: 21:02:11Z deploy orders 4f1c9ae started\n{n}: 21:04:37Z deploy orders 4f1c9ae healthy\n"
        "{n}: 21:04:38Z deploy orders 4f1c9ae done",
    ),
    AgentAction(
        kind=ActionKind.CODE,
        request="python3 tools/compare.py --days 7 --by cause",
        answer="cause                 yesterday   mean7d   change\nSerializationFailure  {n}   41.3   x38\n"
        "UpstreamTimeout       312         298.1    +5%\nValidationError       57          61.0     -7%",
    ),
    AgentAction(kind=ActionKind.FILE, request="write_to_file report/nightly.md", answer="84 lines written"),
    AgentAction(
        kind=ActionKind.CODE,
        request="python3 tools/lint_report.py report/nightly.md",
        answer="ok: 4 sections, 2 tables, 0 broken links",
    ),
    AgentAction(
        kind=ActionKind.THOUGHT,
        request="The report reads well. Before finishing, verify the numbers in the summary once more against the log.",
    ),
    AgentAction(kind=ActionKind.FILE, request="grep_search settle( services/", answer="{n} matches in 14 files"),
)

RESULT = """# Nightly report

Errors yesterday were far above the mean of the last seven days. One cause explains 82 % of them.

1. SerializationFailure in checkout.settle, from 21:08 UTC. The deploy of 21:02 removed the retry around the
   transaction. Proposed: put the retry back (3 attempts, jitter); draft opened.
2. UpstreamTimeout as usual (+5 %).
3. ValidationError slightly below the mean.

No data was lost: every failed settlement was repeated by the hourly job.
"""

GAVE_UP = "I could not finish the report: the tools failed repeatedly, see the errors of this run."
OPERATOR_QUESTION = "The draft would change the isolation level of a live table. May I go on?"


def agent_actions(numbers: random.Random) -> Iterator[AgentAction]:
    """Yield the actions of the script again and again, without end, each time with new numbers from `numbers`."""
    while True:
        for action in _SCRIPT:
            number = str(numbers.randint(900, 2400))
            yield AgentAction(
                kind=action.kind,
                request=action.request.replace("{n}", number),
                answer=action.answer.replace("{n}", number),
            )
