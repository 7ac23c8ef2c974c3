"""Logs as a hypothesis strategy: records as the store writes them, with hostile names and odd figures."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from console.domain.log_record import LogRecord
from console.journal.daily_totals import ENDINGS, OPENINGS

DAYS = ("2026-11-22", "2026-11-23", "-", "", "2026-11-23 ")
TASKS = ("nightly-report", "fix", "a b", 'x" day=2020-01-01 cost=5 currency=USD stage=semi "', "日本", "")
STATUSES = (
    *("launched", "unconfirmed", "skipped", "refused", "note", "rejected", "not_sent", "declined", "expired"),
    *("ok", "failed", "timeout", "budget", "cancelled", "incomplete", "written_off", "unheard_of"),
)

_money = st.integers(0, 10**7).map(lambda micro: f"{micro / 10**6:.6f}") | st.sampled_from(["-", "0.91", "", "lots"])
_odd_figures = st.sampled_from([10**9, 10**12, 10**15])


@st.composite
def _records(draw: st.DrawFn) -> LogRecord:
    status = draw(st.sampled_from(STATUSES))
    currency = draw(st.sampled_from(["USD", "EUR", "-", "U D"]))
    fields = {
        "task": draw(st.sampled_from(TASKS)),
        "run": draw(st.sampled_from(["01kar9j1t099cbf4ezdbrxgred", "01kar9j1t099cbf4ezdbrxgref", "short", "o d"])),
        "attempt": "1",
        "stage": draw(st.sampled_from(["manual", "semi", "unattended"])),
        "origin": "schedule",
        "reason": draw(st.sampled_from(["-", "done", 'a day=2020-01-01 "quoted" x=1'])),
        "day": draw(st.sampled_from(DAYS)),
        "tokens": "0",
        "cost": draw(_money),
        "currency": currency,
        **draw(st.sampled_from([{}, {"provider": "research"}, {"provider": "default"}, {"provider": "-"}])),
        "hold": draw(st.sampled_from(["50.0", "-"])),
    }
    if draw(st.integers(0, 9)) == 0:
        fields = {name: fields[name] for name in draw(st.permutations(sorted(fields)))[: draw(st.integers(0, 11))]}
    return LogRecord(
        ev=0,
        at_ms=draw(st.integers(0, 10**12)),
        key=draw(st.sampled_from(["9f2c51ab03de7714", "-", 'k" status=ok'])),
        status=status,
        elapsed_ms=draw(st.integers(0, 10**6) | _odd_figures),
        units=draw(st.just(0) | st.integers(0, 10**6) | _odd_figures),
        fields=fields,
    )


@st.composite
def logs(draw: st.DrawFn, *, max_size: int = 60) -> list[LogRecord]:
    """Draw records with consecutive numbers; no run starts again after its end."""
    records = draw(st.lists(_records(), max_size=max_size))
    first = draw(st.sampled_from([1, 7, 96, 9_990]))
    ended: set[str] = set()
    for number, record in enumerate(records):
        run = record.fields.get("run", "")
        if record.status in OPENINGS and run in ended:
            record = replace(record, fields={**record.fields, "run": f"again-{number}"})
        elif record.status in ENDINGS:
            ended.add(run)
        records[number] = replace(record, ev=first + number)
    return records
