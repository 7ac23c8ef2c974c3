"""The planted bugs: what a tired hand could write, as replacements in the source of the engine and its floors.

A replacement that does not fit the source any more fails loudly, and is to be written anew: a bug that is not
planted cannot be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Suite(StrEnum):
    """Who must find the bug."""

    WORLDS = "the simulated worlds"
    VERDICTS = "tests/provider/test_verdict.py"
    DATES = "tests/engine/test_cron.py"
    PRAGMAS = "tests/store/test_database.py"
    ADMISSION = "tests/domain/test_key_decision.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One replacement; `old` stands exactly once in the file."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One bug."""

    name: str
    edits: tuple[Edit, ...]
    found_by: Suite = Suite.WORLDS
    tells: str = ""
    """What the finding says, so that another failure is not taken for it."""


def _one(file: str, *, old: str, new: str) -> tuple[Edit, ...]:
    return (Edit(file=file, old=old, new=new),)


def _sending(old: str, new: str) -> Edit:
    return Edit(file="console/engine/run/launch.py", old=old, new=new)


BUGS = (
    Bug(
        name="the intent is recorded after the POST",
        edits=(
            _sending(
                "            try:\n                self.run = await self._parts.store.runs.mark_sending(",
                "            verdict = await self._parts.provider.create(order_for(self.run, self._task()))\n"
                "            try:\n                self.run = await self._parts.store.runs.mark_sending(",
            ),
            _sending("await self._record(await self._post(self.run))", "await self._record(verdict)"),
        ),
        tells="I2",
    ),
    Bug(
        name="an unknown answer is tried again",
        edits=(
            _sending(
                "self.run = await runs.record_unconfirmed(self.run, why=safe(why, limit=200), now=now)",
                "await self._again(why, self._not_sent_waits, None)",
            ),
        ),
        tells="I1",
    ),
    Bug(
        name="an unknown answer is taken for a refusal",
        edits=(
            _sending(
                "self.run = await runs.record_unconfirmed(self.run, why=safe(why, limit=200), now=now)",
                "self.run = await runs.record_rejected(self.run, why=safe(why, limit=200), now=now)",
            ),
        ),
        tells="I3",
    ),
    Bug(
        name="an unknown answer gives the hold back",
        edits=_one(
            "console/store/runs.py",
            old='await decide_send(tx, run, "unknown", why, now)',
            new='await decide_send(tx, run, "unknown", why, now)\n            await release_hold(tx, run, now.wall_ms)',
        ),
        tells="I7",
    ),
    Bug(
        name="the cap is judged before the transaction that takes the hold",
        edits=(
            Edit(
                file="console/store/claims.py",
                old="            return await self._database.transaction(lambda tx: self._claim(tx, order, now))\n",
                new="            judged = await self._database.read(lambda tx: self._judged(tx, order, now))\n"
                "            return await self._database.transaction(lambda tx: self._claim(tx, order, now, judged))\n",
            ),
            Edit(
                file="console/store/claims.py",
                old="    async def _claim(self, tx: Transaction, order: ClaimOrder, now: Moment) -> ClaimAnswer:\n"
                "        judgement = await self._judged(tx, order, now)\n",
                new="    async def _claim(self, tx: Transaction, order: ClaimOrder, now: Moment, judgement):\n",
            ),
        ),
        tells="I6",
    ),
    Bug(
        name="5xx is taken for a refusal",
        edits=_one(
            "console/provider/http/verdict.py",
            old="    if reply.status in REFUSALS:\n",
            new="    if reply.status in REFUSALS or reply.status >= 500:\n",
        ),
        found_by=Suite.VERDICTS,
        tells="failed",
    ),
    Bug(
        name="a commit is not flushed to the disk",
        edits=_one(
            "console/store/pragmas.py",
            old="        return 3 if self is JournalMode.DELETE else 2\n",
            new="        return 0\n",
        ),
        found_by=Suite.PRAGMAS,
        tells="synchronous",
    ),
    Bug(
        name="writes carry no owner and no fence",
        edits=_one(
            "console/store/statements.py",
            old='believed = "id = :_id and state = :_state and owner is :_owner and fence = :_fence"',
            new='believed = "id = :_id and state = :_state and :_owner is :_owner and :_fence = :_fence"',
        ),
        tells="I9",
    ),
    Bug(
        name="a 200 on a cancel is taken for an end",
        edits=_one(
            "console/engine/run/cancel.py",
            old="        await self._keeper.write(change)\n        return retry_after\n",
            new="        await self._keeper.write(change)\n"
            "        if answer:\n"
            "            from console.domain.run import Outcome\n"
            "            from console.store.rows import Ending\n"
            "            ending, now = Ending(outcome=Outcome.CANCELLED), self._parts.clock.now()\n"
            "            await self._keeper.write(lambda run: self._parts.store.runs.settle(run, ending, now))\n"
            "        return retry_after\n",
        ),
        tells="I10",
    ),
    Bug(
        name="a 404 on a GET is taken for an end",
        edits=_one(
            "console/engine/run/monitor.py",
            old="            except ProviderError as error:\n                self._figures.trouble",
            new="            except ProviderError as error:\n"
            "                if 'not found' in str(error):\n"
            "                    gone = StatusClass.TERMINAL\n"
            "                    remote_id = self._keeper.run.remote_id\n"
            "                    self._end = RemoteRun(\n"
            "                        remote_id=remote_id, status='failed', status_class=gone, usage=None\n"
            "                    )\n"
            "                self._figures.trouble",
        ),
        tells="I10",
    ),
    Bug(
        name="the deadline counts by the wall clock",
        edits=_one(
            "console/domain/timestamps.py",
            old="        if self.boot_id == earlier.boot_id:\n",
            new="        if False:\n",
        ),
        tells="2.3",
    ),
    Bug(
        name="the key is made from now",
        edits=_one(
            "console/engine/scheduling/cron.py",
            old="    due = latest_instant(task, now) if scheduled else None\n",
            new="    due = None\n",
        ),
        found_by=Suite.DATES,
        tells="failed",
    ),
    Bug(
        name="a key is free again some time after its end",
        edits=_one(
            "console/domain/key_decision.py",
            old="    blocking = [run for run in real if run.outcome not in RERUN_FREELY]\n",
            new="    blocking = [run for run in real if run.outcome not in RERUN_FREELY]\n"
            "    blocking = [run for run in blocking if run.elapsed_ms < 15_000]\n",
        ),
        tells="I8",
    ),
    Bug(
        name="recovery sends what was being sent",
        edits=_one(
            "console/engine/supervisor.py",
            old="self.guard(await runs.record_unconfirmed(mine, why=why, now=now))",
            new="self.guard(await runs.record_not_sent(mine, why=why, final=False, now=now))",
        ),
        tells="I1",
    ),
    Bug(
        name="a living owner is robbed",
        edits=_one(
            "console/engine/ownership.py",
            old="        except BlockingIOError:\n            yield False\n            return\n",
            new="        except BlockingIOError:\n            pass\n",
        ),
        tells="2.2",
    ),
    Bug(
        name="ruled not launched, the sandbox left",
        edits=_one(
            "console/engine/operations.py",
            old="        if run.sandbox_own and run.sandbox_id is not None:\n            try:\n",
            new="        if run.id == '' and run.sandbox_id is not None:\n            try:\n",
        ),
        tells="K17",
    ),
    Bug(
        name="log lines are marked before they are written",
        edits=_one(
            "console/engine/context.py",
            old="                    self._log.append(records, sync=True)\n"
            "                    await self._store.outbox.mark_logged([record.ev for record in records])\n",
            new="                    await self._store.outbox.mark_logged([record.ev for record in records])\n"
            "                    self._log.append(records, sync=True)\n",
        ),
        tells="I12",
    ),
    Bug(
        name="a waiting sender takes the fence of its successor",
        edits=(
            _sending(
                "        if fresh is None or (fresh.owner, fresh.fence) != (self.run.owner, self.run.fence):\n",
                "        if fresh is None:\n",
            ),
        ),
        tells="I9",
    ),
)
