"""Sample runs and tasks, as they might be on a Monday night."""

from __future__ import annotations

from dataclasses import replace

from console.domain.caps import Cap, Caps, CapUsage
from console.domain.key import key_of
from console.domain.month_projection import MonthProjection
from console.domain.run import LIVE, Limits, Outcome, Run, RunId, State, StepRecord, StopReason, StopRequest
from console.domain.server_limit import TokenLimit
from console.domain.task import CutOff, Fingerprint, Guardrails, Origin, Stage, Task
from console.domain.timestamps import Timestamp
from console.domain.usage import Units, Usage
from console.domain.usage_stats import Anomaly, BurnDown, UsageTotals
from console.engine.models import AuditAct, AuditEntry, RunDetail, TimelineEvent
from console.engine.problems import Problem
from console.engine.scheduling.agenda import Agenda, AgendaEntry, Effect
from console.engine.scheduling.cap_forecast import Room
from console.engine.scheduling.daily_demand import DailyDemand
from console.engine.settings import EngineSettings
from console.engine.usage import Flag, MemberTotal, UsageQuery, UsageReport

NOW = Timestamp(wall_ms=1_795_404_000_000, boot_ms=50_000_000, boot_id="boot-1")
"""2026-11-23 04:20:00 in Berlin."""

CAPS = Caps(
    daily_units=2_000_000, monthly_units=20_000_000, daily_runs=100, concurrent_runs=8, time_zone="Europe/Berlin"
)


def task(name: str = "nightly-report", *, target: str = "acme/site", budget: int = 80, seconds: int = 900) -> Task:
    """One task."""
    return Task(
        name=name,
        target=target,
        prompt="Summarise yesterday's errors and open a draft.",
        agent="antigravity-preview-09-2026",
        model="gemini-3.8-flash",
        guardrails=Guardrails(max_ms=seconds * 1000, budget=budget * 1000),
        schedule="0 3 * * *",
        time_zone="Europe/Berlin",
    )


TASKS = (
    task(),
    task("crawl-docs", target="docs.example.org", budget=120, seconds=3600),
    task("triage-issues", target="acme/tracker", budget=40),
    task("update-deps", target="acme/backend", budget=200, seconds=7200),
    task("translate-strings", target="acme/mobile", budget=60),
)


def settings(tasks: tuple[Task, ...] = TASKS) -> EngineSettings:
    """Settings with these tasks."""
    return EngineSettings(tasks=tasks, caps=CAPS, units=Units())


def moment(seconds: float) -> Timestamp:
    """`NOW` and some seconds; negative ones are before it."""
    return Timestamp(
        wall_ms=NOW.wall_ms + round(seconds * 1000), boot_ms=NOW.boot_ms + round(seconds * 1000), boot_id=NOW.boot_id
    )


def run(
    number: int,
    state: State = State.RUNNING,
    *,
    of: Task = TASKS[0],
    sent_ago: float | None = 300.0,
    used: float = 0.0,
    step: str = "",
    outcome: Outcome | None = None,
) -> Run:
    """A run of `of` that was sent `sent_ago` seconds before NOW."""
    sent = moment(-sent_ago) if sent_ago is not None else None
    ended = state is State.ENDED
    made = Run(
        id=RunId(f"01k9zq{number:020d}"),
        key=key_of(of.type, of.target, f"2026-11-{number % 28 + 1:02d}"),
        task=of.name,
        type=of.type,
        target=of.target,
        date=f"2026-11-{number % 28 + 1:02d}",
        attempt=1,
        stage=Stage.UNATTENDED,
        origin=Origin.SCHEDULE,
        requested_by="cron tty=no",
        state=state,
        outcome=outcome if ended else None,
        fingerprint=Fingerprint.of(of),
        limits=limits(of),
        day="2026-11-23",
        created_ms=moment(-(sent_ago or 0) - 2).wall_ms,
        sent=sent,
        deadline_ms=sent.wall_ms + of.guardrails.max_ms if sent and not ended else None,
        ended_ms=moment(-number).wall_ms if ended else None,
        elapsed_ms=round((sent_ago or 0) * 1000) if ended else 0,
        steps=int(used // 4),
        last_step=step,
        last_step_ms=moment(-7).wall_ms if step else None,
        owner="me" if state in LIVE else None,
    )
    return _figures(_launched(made, number) if sent else made, used)


def limits(of: Task) -> Limits:
    """The guardrails of a run of `of`."""
    return Limits(
        max_ms=of.guardrails.max_ms,
        budget=of.guardrails.budget,
        server_limit=TokenLimit(tokens=of.guardrails.budget * 10),
        tokens_per_unit=10_000,
        cached_weight_milli=100,
        cut_off=CutOff.REACHED,
        stall_ms=300_000,
    )


def _launched(made: Run, number: int) -> Run:
    return replace(
        made,
        remote_id=f"v1_ChdTZXNzaW9uLW51bWJlci0{number:06d}",
        remote_status="completed" if made.state is State.ENDED else "in_progress",
        sandbox_id=f"env-{number:04d}",
        sandbox_own=True,
        polled_ms=moment(-2).wall_ms,
    )


def _figures(made: Run, used: float) -> Run:
    if not used:
        return made
    tokens = round(used * 10_000)
    return replace(
        made,
        usage=Usage(total=tokens, input=tokens * 3 // 4, output=tokens // 4, cached=0),
        used=round(used * 1000),
        usage_known=True,
        largest_step=round(used * 100),
        cost_micro=round(used * 23_000),
        currency="USD",
    )


def proposal(number: int = 1, of: Task = TASKS[1]) -> Run:
    """A proposal that expires in three hours."""
    made = run(number, State.PROPOSED, of=of, sent_ago=None)
    return replace(made, stage=Stage.SEMI, expires_ms=moment(3 * 3600 + 12 * 60).wall_ms)


def unconfirmed(number: int = 2, of: Task = TASKS[3]) -> Run:
    """A run that was sent ten minutes ago and got no id."""
    made = run(number, State.UNCONFIRMED, of=of, sent_ago=640)
    return replace(
        made,
        stage=Stage.UNATTENDED,
        remote_id=None,
        remote_status=None,
        note="the connection broke after the request was sent",
    )


def stopping(number: int = 3, of: Task = TASKS[2], *, alarmed: bool = False) -> Run:
    """A run past its deadline; the provider has not shown its end yet."""
    made = run(
        number, State.STOPPING, of=of, sent_ago=1000 if not alarmed else 1600, used=31.4, step="Reading issue 4312"
    )
    request = StopRequest(
        reason=StopReason.TIMEOUT,
        by="nightdesk",
        at_ms=moment(-100 if not alarmed else -700).wall_ms,
        tries=4 if not alarmed else 23,
        answer="Method not found",
        alarmed=alarmed,
    )
    return replace(made, stop=request)


def busy() -> tuple[Run, ...]:
    """A run in each state, in the order of a snapshot."""
    return (
        proposal(1),
        unconfirmed(2),
        stopping(3),
        run(4, of=TASKS[0], sent_ago=312, used=38.2, step="Comparing error rates of the last seven days"),
        run(5, of=TASKS[1], sent_ago=3555, used=101.7, step="Fetching docs.example.org/guide/install"),
        replace(
            run(6, of=TASKS[4], sent_ago=410, used=12.9, step="Translating 64 strings to Japanese"),
            stalled=True,
            last_step_ms=moment(-390).wall_ms,
        ),
        run(7, of=TASKS[3], sent_ago=95, used=7.25, step="Running the test suite of acme/backend"),
        run(8, State.SENDING, of=TASKS[2], sent_ago=1),
    )


def ended() -> tuple[Run, ...]:
    """What recent, newest first."""
    return (
        replace(run(20, State.ENDED, of=TASKS[0], sent_ago=412, used=41, outcome=Outcome.OK), result="Draft opened."),
        run(400, State.ENDED, of=TASKS[2], sent_ago=900, used=22, outcome=Outcome.TIMEOUT),
        run(1900, State.ENDED, of=TASKS[3], sent_ago=777, used=200.4, outcome=Outcome.BUDGET),
        replace(
            run(4000, State.ENDED, of=TASKS[1], sent_ago=61, used=3.5, outcome=Outcome.FAILED), note="the agent gave up"
        ),
    )


def cap_usages(spent: float = 812.4, held: float = 460.0) -> tuple[CapUsage, ...]:
    """The caps over all tasks."""
    midnight = moment(19 * 3600 + 40 * 60).wall_ms
    return (
        CapUsage(cap=Cap.DAILY_RUNS, limit=100, held=7, spent=23, frees_at_ms=midnight),
        CapUsage(
            cap=Cap.DAILY_UNITS,
            limit=2_000_000,
            held=round(held * 1000),
            spent=round(spent * 1000),
            frees_at_ms=midnight,
        ),
        CapUsage(cap=Cap.MONTHLY_UNITS, limit=20_000_000, held=460_000, spent=7_740_000, frees_at_ms=None),
        CapUsage(cap=Cap.CONCURRENT_RUNS, limit=8, held=7, spent=0, frees_at_ms=None),
    )


STEP_TEXTS = (
    ("thought", "Planning how to find the errors of yesterday"),
    ("tool", "list_files reports/"),
    ("tool", "read_file reports/2026-11-22.json"),
    ("thought", "Errors cluster around 02:10, looking at the deploy log"),
    ("tool", "read_file logs/deploy-2026-11-22.log"),
    ("tool", "run_command python3 scripts/rates.py --days 7"),
    ("thought", "The rate of 502 doubled after the deploy of 02:07"),
    ("tool", "write_file drafts/report.md"),
    ("thought", "Comparing error rates of the last seven days"),
)


def detail(of: Run) -> RunDetail:
    """The details of a run, with some steps and a timeline."""
    start = of.sent.wall_ms if of.sent else of.created_ms
    count = len(STEP_TEXTS) if of.remote_id else 0
    return RunDetail(
        run=of,
        timeline=(
            TimelineEvent(at_ms=of.created_ms, kind="claimed", text="hold 80.0 units"),
            TimelineEvent(at_ms=of.created_ms + 700, kind="sandbox", text="made env-0004"),
            TimelineEvent(at_ms=start, kind="sending", text=""),
            TimelineEvent(at_ms=start + 1400, kind="running", text="in_progress"),
        ),
        steps=tuple(
            StepRecord(
                index=at,
                kind=kind,
                text=text,
                at_ms=start + 30_000 * at,
                units=of.used * (at + 1) // count,
                done=at + 1 < count,
            )
            for at, (kind, text) in enumerate(STEP_TEXTS[:count])
        ),
        attempts=(of,),
        worst_case_micro=4_200_000,
        currency="USD",
    )


def usage_report(query: UsageQuery) -> UsageReport:
    """Usage of two tasks that rise slowly; one of them had a peak three days ago."""
    days = tuple(f"2026-11-{number:02d}" for number in range(1, 24))[-min(query.days, 23) :]
    bars = {day: {"log-digest": 20_000 + 1_000 * at, "nightly-report": 9_000} for at, day in enumerate(days)}
    bars[days[-4]]["log-digest"] *= 6
    values = {name: sum(bar[name] for bar in bars.values()) for name in ("log-digest", "nightly-report")}
    whole = sum(values.values())
    leap = Anomaly(
        day=days[-4],
        value=sum(bars[days[-4]].values()),
        baseline=40_000,
        member="log-digest",
        member_value=bars[days[-4]]["log-digest"],
        member_baseline=30_000,
        since=days[-4],
    )
    return UsageReport(
        query=query,
        days=days,
        bars=bars,
        members=tuple(
            MemberTotal(member=name, value=value, share=value / whole, before=value // 2, runs=len(days))
            for name, value in values.items()
        ),
        figures=UsageTotals(runs=2 * len(days), units=whole),
        currency="USD",
        cap=600_000,
        held=40_000,
        flags=(Flag(day=leap, changes=("model: gemini-3.8-flash -> gemini-9-huge",)),),
        month=BurnDown(spent=whole, cap=2_000_000, per_day=whole // len(days), reached_on="2026-11-28"),
        month_days=tuple(sum(bar.values()) for bar in bars.values()),
        projection=MonthProjection(
            so_far=whole, expected=1_400_000, low=1_200_000, high=1_600_000, per_day=40_000, last_day="2026-11-30"
        ),
    )


def agenda(hours: int = 24) -> Agenda:
    """Times of each kind, with a clock change before the second."""
    times = (
        (TASKS[0], Effect.RUN, Room.FITS, ""),
        (TASKS[1], Effect.PROPOSAL, Room.LIKELY, "if earlier runs use their whole budgets: daily_units is reached"),
        (TASKS[2], Effect.SKIPPED, None, "its key is done: run 01k ended ok"),
        (TASKS[3], Effect.REFUSED, None, "the task is at stage manual"),
    )
    entries = tuple(
        AgendaEntry(
            task=of.name,
            at_ms=moment(3600 * number + 2400).wall_ms,
            time_zone="Europe/Berlin",
            shifts=number == 1,
            effect=effect,
            why=why,
            hold=of.guardrails.budget,
            cost_micro=4_200_000,
            currency="USD",
            room=room,
        )
        for number, (of, effect, room, why) in enumerate(times)
    )
    return Agenda(now_ms=NOW.wall_ms, until_ms=moment(3600 * hours).wall_ms, time_zone="Europe/Berlin", entries=entries)


def acts() -> tuple[AuditEntry, ...]:
    """A cancel with a reason, a promotion and a pause, newest first."""
    by = "root (sudo by alice; from 10.0.0.5; says: Alice B.) tty=yes"
    return (
        AuditEntry(
            at_ms=moment(-60).wall_ms,
            act=AuditAct.CANCEL,
            by=by,
            why="it reads the wrong log",
            task="crawl-docs",
            run=run(5).id,
        ),
        AuditEntry(
            at_ms=moment(-3600).wall_ms,
            act=AuditAct.PROMOTE,
            by="ben tty=no",
            what="manual -> semi",
            task="nightly-report",
        ),
        AuditEntry(at_ms=moment(-7200).wall_ms, act=AuditAct.PAUSE, by="ben tty=no"),
    )


def demand() -> DailyDemand:
    """A task that takes a fifth of the daily cap."""
    return DailyDemand(runs=5, units=400_000, cost_micro=21_000_000, currency="USD", cap=2_000_000, others=300_000)


def problem(text: str) -> Problem:
    """A problem that occurred once, 90 seconds ago."""
    at = moment(-90).wall_ms
    return Problem(topic="sample", text=text, since_ms=at, last_ms=at, count=1)
