"""The words of the simulated agent: a believable writer of nightly reports, shown wherever somebody watches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class ActionKind(StrEnum):
    """One thing the agent does; all but thoughts are a call and its result."""

    THOUGHT = "thought"
    CODE = "code"
    SEARCH = "search"
    PAGE = "page"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAction:
    """One beat of the script. `{n}` in its texts becomes a number of the run's own."""

    beat: ActionKind
    ask: str
    """The thought, the shell command, the search, the address, or the tool's name and target."""
    answer: str = ""


_SCRIPT: tuple[AgentAction, ...] = (
    AgentAction(
        beat=ActionKind.THOUGHT,
        ask="Plan: collect yesterday's errors from the service logs, group them by cause, compare with the mean of "
        "the last seven days, then write the report and open a draft.",
    ),
    AgentAction(
        beat=ActionKind.CODE,
        ask="ls -lh logs/ | tail -4",
        answer="-rw-r--r-- 1 agent agent  48M api.log\n-rw-r--r-- 1 agent agent  12M worker.log\n"
        "-rw-r--r-- 1 agent agent 3.1M cron.log\n-rw-r--r-- 1 agent agent 640K deploy.log",
    ),
    AgentAction(beat=ActionKind.CODE, ask="grep -c ' ERROR ' logs/api.log", answer="{n}"),
    AgentAction(
        beat=ActionKind.THOUGHT,
        ask="{n} errors is well above the usual. Most of them will share a few causes; count by exception class first.",
    ),
    AgentAction(
        beat=ActionKind.CODE,
        ask="awk '/ ERROR /{print $6}' logs/api.log | sort | uniq -c | sort -rn | head -5",
        answer="    {n} SerializationFailure\n    312 UpstreamTimeout\n     57 ValidationError\n"
        "     12 KeyError\n      3 OSError",
    ),
    AgentAction(
        beat=ActionKind.SEARCH,
        ask="could not serialize access due to concurrent update retry strategy",
        answer="Serialization failures are expected at this isolation level; applications retry the transaction.",
    ),
    AgentAction(
        beat=ActionKind.PAGE, ask="https://www.postgresql.org/docs/current/transaction-iso.html", answer="success"
    ),
    AgentAction(
        beat=ActionKind.FILE,
        ask="view_file services/orders/checkout.py",
        answer="118: def settle(order):\n119:     with transaction(isolation='serializable'):\n"
        "120:         return _settle(order)   # no retry here",
    ),
    AgentAction(
        beat=ActionKind.THOUGHT,
        ask="checkout.settle has no retry since the last deploy; the first failure is 4 minutes after it. "
        "That explains the burst. Check the deploy log before claiming it.",
    ),
    AgentAction(
        beat=ActionKind.CODE,
        ask="grep -n 'orders' logs/deploy.log | tail -3",
        answer="{n}: 21:02:11Z deploy orders 4f1c9ae started\n{n}: 21:04:37Z deploy orders 4f1c9ae healthy\n"
        "{n}: 21:04:38Z deploy orders 4f1c9ae done",
    ),
    AgentAction(
        beat=ActionKind.CODE,
        ask="python3 tools/compare.py --days 7 --by cause",
        answer="cause                 yesterday   mean7d   change\nSerializationFailure  {n}   41.3   x38\n"
        "UpstreamTimeout       312         298.1    +5%\nValidationError       57          61.0     -7%",
    ),
    AgentAction(beat=ActionKind.FILE, ask="write_to_file report/nightly.md", answer="84 lines written"),
    AgentAction(
        beat=ActionKind.CODE,
        ask="python3 tools/lint_report.py report/nightly.md",
        answer="ok: 4 sections, 2 tables, 0 broken links",
    ),
    AgentAction(
        beat=ActionKind.THOUGHT,
        ask="The report reads well. Before finishing, verify the numbers in the summary once more against the log.",
    ),
    AgentAction(beat=ActionKind.FILE, ask="grep_search settle( services/", answer="{n} matches in 14 files"),
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
ASK_OPERATOR = "The draft would change the isolation level of a live table. May I go on?"


def agent_actions(numbers: random.Random) -> Iterator[AgentAction]:
    """The script from its beginning, over and over, with numbers of its own each time. Never ends."""
    while True:
        for line in _SCRIPT:
            number = str(numbers.randint(900, 2400))
            yield AgentAction(
                beat=line.beat, ask=line.ask.replace("{n}", number), answer=line.answer.replace("{n}", number)
            )
