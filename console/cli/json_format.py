"""What each command prints with `--json`: its fields, their types, and the version of the whole.

These are declarations only: the commands build their output without them, the tests check that output against them, and
`nightdesk schema` and docs/json.md are made from them. A field may be added; one that goes away or changes its meaning
raises VERSION.

In one piece, because the formats share their parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from console.domain.caps import Cap, RefusalKind
from console.domain.run import Outcome, State, StopReason
from console.domain.task import Origin
from console.engine.models import AuditAct, LaunchKind
from console.engine.scheduling.agenda import Effect
from console.engine.scheduling.cap_forecast import Room

VERSION = 1
"""Of all formats together."""

Time = Annotated[
    str, Meta(description="UTC, `2026-11-23T03:06:52.114Z`", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
]
LocalTime = Annotated[
    str, Meta(description="with the offset of its zone", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$")
]
Day = Annotated[str, Meta(description="`2026-11-23`, a day in the zone of the caps", pattern=r"^\d{4}-\d\d-\d\d$")]
RunIdText = Annotated[str, Meta(description="id of a run", min_length=26, max_length=26)]
Units = Annotated[float, Meta(description="units", ge=0)]
Seconds = Annotated[float, Meta(description="seconds", ge=0)]
Money = Annotated[float, Meta(description="in `currency`", ge=0)]
Currency = Annotated[str, Meta(description="ISO 4217")]
Zone = Annotated[str, Meta(description="IANA name")]
Author = Annotated[str, Meta(description="who, as it is recorded: `alice tty=yes`")]
StageName = Literal["manual", "semi", "unattended"]
Count = Annotated[int, Meta(ge=0)]


class FormatFields(Struct, kw_only=True, forbid_unknown_fields=True):
    """The base of all formats: a field that is not declared is an error of the tests."""


class RunFields(FormatFields):
    """A run, skip or refusal."""

    run: RunIdText
    key: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    task: str
    target: str
    date: Annotated[str, Meta(description="the date of the key: a day, or a minute in UTC")]
    attempt: Annotated[int, Meta(description="0 for a skip or refusal", ge=0)]
    stage: StageName
    origin: Origin
    state: State
    outcome: Annotated[Outcome | None, Meta(description="null while it has not ended")]
    reason: Annotated[StopReason | None, Meta(description="why it was stopped")]
    units: Units
    tokens: Annotated[int | None, Meta(description="null where no figure ever came")]
    cost: Annotated[Money | None, Meta(description="null where it is not known")]
    currency: Currency | None
    elapsed: Seconds
    started_at: Time | None
    deadline_at: Time | None
    ended_at: Time | None
    remote_id: Annotated[str | None, Meta(description="id at the service")]
    type: str
    day: Annotated[Day, Meta(description="the day of the caps to which it is booked")]
    by: Author
    note: str
    max_seconds: Seconds
    budget_units: Units
    created_at: Time
    expires_at: Annotated[Time | None, Meta(description="until when it may be approved or sent")]
    remote_status: Annotated[str | None, Meta(description="as the service calls it")]
    sandbox_id: str | None
    steps: Count
    last_step: str
    stalled: bool
    trouble: str
    superseded_by: RunIdText | None
    retry_at: Time | None
    provider: Annotated[str, Meta(description="name in the config")]
    service: Annotated[str | None, Meta(description="where it was launched")]
    server_limit: Annotated[str | None, Meta(description="the limit at the service; null for none")]
    host: Annotated[str | None, Meta(description="of the process that supervises it or did last; null on one host")]


class CapUsageFields(FormatFields):
    """How full one cap is, in units or launches."""

    cap: Cap
    limit: Annotated[float | None, Meta(description="null for unlimited")]
    held: float
    spent: float
    left: float | None
    frees_at: Annotated[Time | None, Meta(description="end of its period; null where that makes no room")]


class TaskCapUsageFields(CapUsageFields):
    """The same, with the task of a cap that belongs to one."""

    task: str | None


class RefusalFields(FormatFields):
    """Why a launch was refused."""

    kind: RefusalKind
    sentence: str
    cap: CapUsageFields | None


class AnswerFields(RunFields):
    """A run, and how its launch was answered."""

    answer: LaunchKind
    holder: Annotated[RunIdText | None, Meta(description="the run that has the key")]
    refusal: RefusalFields | None
    differences: Annotated[list[str], Meta(description="how the launch differs from that of the holder")]


class StoppedRunFields(RunFields):
    """A run after a cancel."""

    shown: Annotated[str | UnsetType, Meta(description="an end that the service shows, not stored yet")] = UNSET


class UnrecordedStopFields(FormatFields):
    """A cancel past a store that does not know the run or does not answer."""

    run: RunIdText
    remote_id: str
    answer: str
    shown: str


class PausedFields(FormatFields):
    """Whether launches are blocked."""

    paused: bool
    recorded: Annotated[bool | UnsetType, Meta(description="false while a file stands for the stored pause")] = UNSET
    runs: Annotated[list[dict[str, Any]] | UnsetType, Meta(description="as `cancel` prints them")] = UNSET


class StopFields(FormatFields):
    """A requested stop."""

    reason: StopReason
    by: Author
    at: Time
    tries: Count
    answer: str
    alarmed: bool


class TimelineEventFields(FormatFields):
    """One thing that happened to a run."""

    at: Time
    kind: str
    text: str
    facts: dict[str, str]


class StepFields(FormatFields):
    """One step of the agent."""

    index: Count
    kind: str
    text: str
    at: Time
    done: bool


class AttemptFields(FormatFields):
    """One attempt at a key."""

    run: RunIdText
    attempt: Count
    outcome: Outcome | None


class DetailFields(RunFields):
    """A run in full."""

    fingerprint: Annotated[dict[str, str | int], Meta(description="what was launched; texts as SHA-256")]
    result: str
    stop: StopFields | None
    changed_since: Annotated[list[str], Meta(description="what differs in the task now")]
    timeline: list[TimelineEventFields]
    live_steps: list[StepFields]
    attempts: list[AttemptFields]


class DiffFields(FormatFields):
    """How two runs differ."""

    runs: list[RunIdText]
    differs: Annotated[dict[str, list[str]], Meta(description="by name: the value of each run, as people read it")]


class ChangeFields(FormatFields):
    """One change of the state folder."""

    at: Time
    text: str
    run: RunFields | None


class SinceFields(FormatFields):
    """Who paused launches, and when."""

    since: Time
    by: Author


class SchedulerFields(FormatFields):
    """The process that schedules."""

    kind: str
    pid: int


class NextLaunchFields(FormatFields):
    """The next scheduled time at which a task runs or is proposed."""

    task: str
    at: Time
    proposed: bool


class ProblemFields(FormatFields):
    """What does not work."""

    topic: str
    text: str
    since: Time
    count: Count
    over: bool
    pid: int | None


class StatusFields(FormatFields):
    """The state of the whole."""

    version: Annotated[int, Meta(description="of this object alone")]
    at: Time
    state_dir: str
    time_zone: Zone
    alarms: Annotated[list[str], Meta(description="what needs a person")]
    paused: SinceFields | None
    caps: list[CapUsageFields]
    scheduler: SchedulerFields | None
    nobody_schedules: bool
    next: NextLaunchFields | None
    counts: Annotated[dict[str, int], Meta(description="open runs by state")]
    problems: list[ProblemFields]


class AgendaEntryFields(FormatFields):
    """One scheduled time."""

    task: str
    utc: Time
    local: LocalTime
    time_zone: Zone
    clocks_change: Annotated[bool, Meta(description="between the time before and this one")]
    effect: Effect
    why: str
    hold_units: Units
    cost_at_most: Money | None
    currency: Currency | None
    room: Annotated[Room | None, Meta(description="null where nothing is launched")]
    retry_of: Annotated[RunIdText | None, Meta(description="the failed run that is tried again")]


class AgendaFields(FormatFields):
    """The scheduled times to come."""

    at: Time
    until: Time
    time_zone: Zone
    nobody_schedules: bool
    paused: SinceFields | None
    cut: Annotated[bool, Meta(description="true where there are more than 5,000")]
    entries: list[AgendaEntryFields]


class AuditEntryFields(FormatFields, kw_only=True):
    """One act of a person."""

    at: Time
    act: AuditAct
    what: str
    task: str | None
    run: RunIdText | None
    why: str
    by: Author
    user: str
    sudo_by: str | None
    from_: Annotated[str | None, Meta(description="address of the SSH client")] = msgspec.field(name="from")
    says: Annotated[str | None, Meta(description="declared name, which anybody can set")]
    terminal: bool | None
    host: Annotated[str | None, Meta(description="where it was recorded; null on one host")]


class UsageRowFields(FormatFields, kw_only=True):
    """What a member of `--by` used on one day; the member stands under the name of the group."""

    day: Day
    task: str | UnsetType = UNSET
    outcome: Outcome | UnsetType = UNSET
    stage: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    units: Units
    cost: Annotated[Money | None, Meta(description="null where it is not known")]
    currency: Currency | None
    runs: Count
    seconds: Seconds


class TotalsFields(FormatFields):
    """What was used."""

    runs: Count
    units: Units
    cost: Annotated[Money | None, Meta(description="null where the cost of a run is not known")]
    runs_without_price: Count


class ComparedFields(TotalsFields):
    """What was used under one name, and in the period before."""

    name: str
    before: TotalsFields


class ProjectionFields(FormatFields):
    """The end of the month, in units or in `currency`."""

    so_far: float
    expected: float
    low: Annotated[float | None, Meta(description="null with fewer than seven full days")]
    high: float | None
    last_day: Day


class MonthFields(FormatFields):
    """The present month."""

    units: ProjectionFields | None
    cost: ProjectionFields | None
    runs_without_price: Count


class StoppedRunsFields(FormatFields):
    """Runs that were stopped in one way."""

    runs: Count
    units: Units
    units_more_until_time_limit: Annotated[Units, Meta(description="at their own rates")]


class TimedOutRunsFields(FormatFields):
    """Runs that were stopped by their time limits."""

    runs: Count
    units: Units
    units_an_hour: Annotated[Units, Meta(description="of all together, at their own rates")]


class DoubleLaunchesFields(FormatFields):
    """Launches that were skipped because of their key."""

    count: Count
    usual_units: Annotated[Units, Meta(description="what runs of their tasks usually use")]


class OverCapsFields(FormatFields):
    """Launches that a cap refused."""

    count: Count
    units: Annotated[Units, Meta(description="their budgets")]


class GuardsFields(FormatFields):
    """What the guards did."""

    stopped_by_budget: StoppedRunsFields
    stopped_by_time_limit: TimedOutRunsFields
    cancelled: StoppedRunsFields
    double_launches: DoubleLaunchesFields
    over_caps: OverCapsFields
    refused: Annotated[dict[str, int], Meta(description="other refusals by kind")]
    missed: Count


class ReportFields(FormatFields):
    """A period on one page."""

    first: Day
    last: Day
    days: Count
    time_zone: Zone
    currency: Currency | None
    complete_before: Annotated[bool, Meta(description="the log covers the whole period before")]
    total: ComparedFields
    outcomes: list[ComparedFields]
    top_tasks: list[ComparedFields]
    today: TotalsFields
    month: MonthFields
    guards: GuardsFields


class EvidenceFields(FormatFields):
    """The evidence for the next stage."""

    ran: Count
    manual_ok: Count
    approved_ok: Count
    observed: Count
    guards_held: Count
    unconfirmed: Count
    since: Time | None
    p95_units: Units | None
    budget: Units | None
    p95_seconds: Seconds | None
    max_seconds: Seconds | None


class StageChangeFields(FormatFields, kw_only=True):
    """One change of a stage."""

    at: Time
    from_: StageName = msgspec.field(name="from")
    to: StageName
    by: Author
    reason: str
    forced: bool


class DayAtMostFields(FormatFields):
    """The most that the schedule of a task can take in a day."""

    runs: Count
    units: Units
    cost: Money | None
    currency: Currency | None
    daily_units: Annotated[Units | None, Meta(description="the cap; null for unlimited")]
    left: Annotated[Units | None, Meta(description="what other schedules leave of it")]


class ScheduledTimeFields(FormatFields):
    """One scheduled time of a task."""

    utc: Time
    local: LocalTime
    clocks_change: bool
    effect: Literal["refused", "proposed", "launched"]


class RolloutFields(FormatFields):
    """The stage of a task."""

    task: str
    stage: StageName
    effective_stage: Annotated[StageName, Meta(description="lower while a run is unconfirmed")]
    evidence: EvidenceFields
    missing: list[str]
    last_change: StageChangeFields | None
    changes: Annotated[list[StageChangeFields], Meta(description="newest first")]
    a_day_at_most: Annotated[DayAtMostFields | None, Meta(description="null without a schedule, and without TASK")]
    time_zone: Zone
    next: list[ScheduledTimeFields]


class LogLineFields(Struct, kw_only=True):
    """One line of runs.log; further fields as in docs/log.md, numbers as numbers and `-` as null."""

    ts: Time
    key: str | None
    status: str
    elapsed: Seconds
    units: Units
    ev: Count


class LogLinesFields(FormatFields):
    """How many lines were written."""

    lines: Count


class LogRotatedFields(FormatFields):
    """The file that the log was moved to."""

    rotated: str | None


class ContextFields(FormatFields):
    """A config that --context names."""

    name: str
    config: str
    state_dir: Annotated[str | None, Meta(description="none where the config names none")]
    in_use: bool


class ConfigWrittenFields(FormatFields):
    """The file that was written."""

    config: str


class PlaceOfFileFields(FormatFields):
    """A file or folder."""

    path: str
    exists: bool
    why: str | UnsetType = UNSET


class PathsFields(FormatFields):
    """Which files are used."""

    config: PlaceOfFileFields
    state: PlaceOfFileFields
    database: PlaceOfFileFields
    log: PlaceOfFileFields
    launches: PlaceOfFileFields
    diagnostics: PlaceOfFileFields
    themes: PlaceOfFileFields | UnsetType = UNSET


class FindingFields(FormatFields):
    """What a check of `doctor` found."""

    check: str
    part: str
    level: Literal["ok", "warn", "FAIL"]
    told: str


class DeliveryFields(FormatFields):
    """Whether a test message arrived."""

    channel: str
    delivered: bool
    why: str | None


class NotifyFields(FormatFields):
    """What is notified, and to whom."""

    channels: list[str]
    kinds: list[str]
    quiet_hours: Annotated[str | None, Meta(description="`22:00-07:00`")]
    quiet_kinds: list[str]
    debounce_seconds: Seconds
    daily_summary: Annotated[str | None, Meta(description="`08:00`")]


class ImportedTaskFields(FormatFields):
    """A line of a crontab that became a task."""

    line: Count
    text: str
    name: str
    schedule: str
    time_zone: Zone
    window: Literal["day", "slot"]
    runs_task: Annotated[str | None, Meta(description="the task that the line runs already")]


class LeftLineFields(FormatFields):
    """A line of a crontab that stays there."""

    line: Count
    text: str
    why: str


class ImportFields(FormatFields):
    """What a crontab became."""

    version: Annotated[int, Meta(description="of this object alone")]
    tasks: list[ImportedTaskFields]
    left: list[LeftLineFields]


class ReconciledFields(FormatFields):
    """What a person accepted."""

    reconciled: list[str]


class DrillFindingFields(FormatFields):
    """What one guard did in the drill."""

    service: Annotated[str, Meta(description="kind of the simulated service")]
    guard: str
    done: str
    seen: str
    passed: bool


class RehearsedFields(FormatFields):
    """What one guard did to one task."""

    task: str
    guard: str
    config: str
    seen: str
    passed: bool


class RehearsalFields(FormatFields):
    """What came of a rehearsal."""

    passed: bool
    findings: list[RehearsedFields]
    notes: list[str]


class BackupFields(FormatFields):
    """What was copied; `backup.json` in the copy holds the same without `backup`."""

    backup: Annotated[str, Meta(description="the folder of the copy")]
    version: Annotated[int, Meta(description="of this object alone")]
    at: Time
    state_dir: str
    runs: Count
    open_runs: Count
    last_ev: Annotated[int, Meta(description="number of the last line of the log")]


class RestoreFields(FormatFields):
    """What was put back."""

    restored: str
    kept: Annotated[str | None, Meta(description="the folder that holds what was there before")]
    at: Annotated[str, Meta(description="when the backup was made")]
    runs: Count
    open_runs: Count


class FleetProcessFields(FormatFields):
    """A process that uses the database."""

    owner: str
    host: str
    kind: str
    pid: int
    version: Annotated[str, Meta(description="of the program")]
    lease_seconds: Annotated[Seconds, Meta(description="until its lease ends; 0 where it has ended")]


class StoreStatusFields(FormatFields):
    """Where the runs are recorded. What only a database of several hosts has is null for SQLite."""

    kind: Literal["sqlite", "postgresql"]
    place: Annotated[str, Meta(description="the state folder, or the server")]
    schema: str | None
    id: Annotated[str | None, Meta(description="of the store")]
    version: Annotated[int, Meta(description="of its schema")]
    latest: Annotated[int, Meta(description="the version that this program makes")]
    server: Annotated[str, Meta(description="the version of the server, or of SQLite")]
    role: str | None
    may_write: bool | None
    tls: Annotated[str | None, Meta(description="the protocol that encrypts the connection; null for none")]
    round_trip_ms: float | None
    clock_ahead_ms: Annotated[int | None, Meta(description="what its clock is ahead of that of this host")]
    scheduler: Annotated[str | None, Meta(description="the host that schedules; null for none")]
    processes: list[FleetProcessFields]


class SchemaChangeFields(FormatFields):
    """What became of the schema."""

    place: str
    schema: str
    before: Annotated[int, Meta(description="its version; 0 where there was none")]
    after: int


class CreationScriptFields(FormatFields):
    """The statements that make a store."""

    place: str
    schema: str
    script: str


class GrantedFields(FormatFields):
    """Who may use the store."""

    place: str
    schema: str
    engine: str
    reader: str | None


class PolicyValueFields(FormatFields):
    """One key of the policy; null where this host, or the one that stored it, does not know the key."""

    key: str
    here: str | None
    fleet: str | None


class PolicyFields(FormatFields):
    """By what the hosts of a fleet judge launches. What is known of its origin is null before the first launch."""

    agrees: Annotated[bool, Meta(description="true where this host may launch, also on schedule")]
    by: Author | None
    host: Annotated[str | None, Meta(description="where it was stored")]
    at: Time | None
    reason: str | None
    values: list[PolicyValueFields]


class MovedStoreFields(FormatFields):
    """What was moved into the database."""

    place: str
    schema: str
    id: Annotated[str, Meta(description="of the store in the database")]
    runs: Count
    last_ev: Annotated[int, Meta(description="number of the last line of the log")]


class ReclaimedRunFields(FormatFields):
    """A lost launch that was put back."""

    run: str
    key: str
    task: str


class ReclaimedFields(FormatFields):
    """What `store reclaim` put back."""

    runs: list[ReclaimedRunFields]
    refused: Annotated[list[str], Meta(description="a sentence for each launch that could not be put back")]


class AcceptedLossFields(FormatFields):
    """What was given up."""

    lines: Annotated[Count, Meta(description="lines of the log")]
    launches: Count


class InstalledFields(FormatFields):
    """The service that was installed."""

    unit: str
    environment: str
    started: bool
    missing: Annotated[list[str], Meta(description="variables without a value, so that it was not started")]


class ServiceStatusFields(FormatFields):
    """The service as systemd shows it."""

    unit: str
    installed: bool
    active: str | None
    enabled: str | None
    pid: int | None


class RemovedFields(FormatFields):
    """The service that was removed."""

    removed: str
    environment: str
    guard: Annotated[str | None, Meta(description="who supervises the open runs; null for none")]


class FailedFields(FormatFields):
    """What every command prints on stderr where it fails."""

    error: str
    exit: int


class Shape(StrEnum):
    """How the values are put together."""

    OBJECT = "one object"
    ARRAY = "an array"
    LINES = "one object per line"


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The output of one command."""

    shape: Shape
    types: tuple[type[Struct], ...]
    """Each value is one of these."""


def _one(*types: type[Struct]) -> JsonFormat:
    return JsonFormat(Shape.OBJECT, types)


def _array(*types: type[Struct]) -> JsonFormat:
    return JsonFormat(Shape.ARRAY, types)


FORMATS: Mapping[str, JsonFormat] = {
    "run": _one(AnswerFields),
    "ps": _array(RunFields),
    "demo": _array(RunFields),
    "status": _one(StatusFields),
    "next": _one(AgendaFields),
    "history": _array(RunFields),
    "audit": _array(AuditEntryFields),
    "show": _one(DetailFields),
    "show --follow": JsonFormat(Shape.LINES, (DetailFields,)),
    "diff": _one(DiffFields),
    "watch": JsonFormat(Shape.LINES, (ChangeFields,)),
    "log": _array(LogLineFields),
    "log --follow": JsonFormat(Shape.LINES, (LogLineFields,)),
    "log rebuild": _one(LogLinesFields),
    "log rotate": _one(LogRotatedFields),
    "usage": _array(UsageRowFields),
    "report": _one(ReportFields),
    "cancel": _array(StoppedRunFields, UnrecordedStopFields),
    "pause": _one(PausedFields),
    "resume": _one(PausedFields),
    "approve": _one(AnswerFields),
    "decline": _one(RunFields),
    "stage": _array(RolloutFields),
    "context": _array(ContextFields),
    "caps": _array(TaskCapUsageFields),
    "caps raise": _array(TaskCapUsageFields),
    "settle": _one(RunFields),
    "init": _one(ConfigWrittenFields),
    "paths": _one(PathsFields),
    "doctor": _array(FindingFields),
    "doctor --reconcile": _one(ReconciledFields),
    "drill": _array(DrillFindingFields),
    "rehearse": _one(RehearsalFields),
    "backup": _one(BackupFields),
    "restore": _one(RestoreFields),
    "store": _one(StoreStatusFields),
    "store init": _one(SchemaChangeFields),
    "store init --print": _one(CreationScriptFields),
    "store grant": _one(GrantedFields),
    "store migrate": _one(SchemaChangeFields),
    "store move": _one(MovedStoreFields),
    "store policy": _one(PolicyFields),
    "store reclaim": _one(ReclaimedFields),
    "store accept-loss": _one(AcceptedLossFields),
    "service install": _one(InstalledFields),
    "service status": _one(ServiceStatusFields),
    "service remove": _one(RemovedFields),
    "import crontab": _one(ImportFields),
    "notify": _one(NotifyFields),
    "notify test": _array(DeliveryFields),
    "errors": _one(FailedFields),
}
"""By command, in the order of docs/json.md; `errors` is what a failing command prints on stderr."""


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a command's output. Raises KeyError for one without a format here."""
    found = FORMATS[name]
    types, parts = msgspec.json.schema_components(found.types, ref_template="#/$defs/{name}")
    for part in parts.values():
        # Declared for the tests; to those who read, fields that a later version adds are no errors.
        part.pop("additionalProperties", None)
    value = types[0] if len(types) == 1 else {"anyOf": list(types)}
    shape = {"type": "array", "items": value} if found.shape is Shape.ARRAY else value
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"nightdesk {name} --json" if name != "errors" else "nightdesk --json, on stderr",
        "$comment": f"format version {VERSION}; {found.shape.value}",
        **shape,
        "$defs": parts,
    }
