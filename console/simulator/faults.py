"""The faults that can be switched on, by name. How often a fault strikes is counted and depends only on the seed.

A fault has the name `CALL.FAULT` for the replies to one kind of call (`create.lost_reply`, `get.503`), `FAULT` for the
replies to every call (`503`), or the name of a `Switch` that changes how the service behaves (`zombie`, `sse.silence`).
Faults that were seen live name the public issue thread that reports them.
"""

from __future__ import annotations

import difflib
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

FaultLimits = Mapping[str, float]
FaultSpec = Mapping[str, bool | float | FaultLimits] | Collection[str]
"""`["zombie"]`, `{"create.lost_reply": 1}` or `{"get.503": {"skip": 2, "first": 3, "share": 0.5, "value": 1.0}}`."""


class CallKind(StrEnum):
    """The kinds of call to which a fault can be limited."""

    CREATE = "create"
    GET = "get"
    STREAM = "stream"
    """GET with `stream=true`. A launch that streams is CREATE."""
    CANCEL = "cancel"
    """`/cancel` and `:cancel`."""
    DELETE = "delete"
    ENV_CREATE = "env_create"
    ENV_GET = "env_get"
    ENV_LIST = "env_list"
    ENV_DELETE = "env_delete"
    AGENT = "agent"
    TRIGGER = "trigger"
    """Every call to a trigger but the one that runs it, which is CREATE."""


class ReplyFault(StrEnum):
    """What goes wrong with the reply to one call, and whether the call took effect."""

    LOST_REPLY = "lost_reply"
    """The call took effect; the connection closes without a byte."""
    DROPPED = "dropped"
    """The call had no effect; the connection closes without a byte."""
    RESET = "reset"
    """The call took effect; the connection ends with a TCP reset."""
    RESET_BEFORE = "reset_before"
    """The call had no effect; the connection ends with a TCP reset."""
    HALF_HEADERS = "half_headers"
    """The call took effect; the connection closes within the headers."""
    HALF_BODY = "half_body"
    """The call took effect; the reply announces its full length and closes after half of it."""
    GARBAGE = "garbage"
    """The call took effect; 200 with an HTML page."""
    GARBAGE_BYTES = "garbage_bytes"
    """The call took effect; the reply is not HTTP."""
    EMPTY = "empty"
    """The call took effect; 200 without a body."""
    NO_ID = "no_id"
    """The call took effect; 200 with JSON that lacks the id."""
    SILENCE = "silence"
    """The call took effect; there is never a reply."""
    SILENCE_BEFORE = "silence_before"
    """The call had no effect; there is never a reply."""
    SLOW = "slow"
    """The call takes effect at once; the reply comes `value` seconds later."""
    LATE = "late"
    """The call takes effect `value` seconds later, even if the client has disconnected by then."""
    DRIP = "drip"
    """The call took effect; the body arrives byte by byte, `value` seconds apart."""
    HUGE = "huge"
    """The call took effect; the body is padded to `value` megabytes."""
    RETRY_AFTER = "429.retry_after"
    """The call had no effect; 429 with Retry-After: `value` seconds."""
    RETRY_AFTER_MS = "429.retry_after_ms"
    """The call had no effect; 429 with retry-after-ms."""
    RETRY_AFTER_DATE = "429.retry_after_date"
    """The call had no effect; 429 with Retry-After as an HTTP date, `value` seconds ahead."""
    RETRY_INFO = "429.retryinfo"
    """The call had no effect; 429 with the pause in the body (python-genai#1875)."""
    RETRY_BARE = "429.bare"
    """The call had no effect; 429 without a pause."""
    STATUS = "status"
    """The call had no effect; any HTTP status (`create.503`)."""
    STATUS_BUT_DONE = "status_but_done"
    """The call took effect; any HTTP status (`create.503_but_done`)."""


class Switch(StrEnum):
    """A change of how the service behaves."""

    ZOMBIE = "zombie"
    """The run stays in_progress without steps for ever (big-AGI#1088)."""
    USAGE_LATE = "usage.late"
    """An ended run shows its usage only after `value` polls; the last event of the stream has none (big-AGI#1143)."""
    USAGE_ABSENT = "usage.absent"
    """Usage is never shown."""
    USAGE_ABSENT_MIDRUN = "usage.absent_midrun"
    """`step.stop` events show no usage."""
    USAGE_MIDRUN = "usage.midrun"
    """GET shows the usage of a live run."""
    STEPS_ABSENT_MIDRUN = "steps.absent_midrun"
    """GET shows no steps of a live run."""
    BUDGET_HIT = "budget.hit"
    """Step `value` reaches the token limit, however large the limit is."""
    BUDGET_EXCEEDED = "budget.exceeded"
    """A run that reaches its token limit ends as budget_exceeded instead of incomplete."""
    BUDGET_OVERSHOOT = "budget.overshoot"
    """The token limit is enforced `value` percent too late."""
    BUDGET_IGNORED = "budget.ignored"
    """The token limit is not enforced."""
    BUDGET_HANGS = "budget.hangs"
    """A session at its limit stays `running` until it is interrupted (apache/airflow#71465)."""
    IDLE_LATE = "idle.late"
    """The event that says why a session is idle is listed `value` seconds late."""
    ECHO_INT = "echo.int"
    """max_total_tokens is shown as a number instead of a string, the proto JSON form of an int64."""
    CANCEL_404_SLASH = "cancel.404_slash"
    """`/cancel` is an unknown method; `:cancel` works (python-genai#1971)."""
    CANCEL_404_COLON = "cancel.404_colon"
    """`:cancel` is an unknown method; `/cancel` works."""
    CANCEL_404_BOTH = "cancel.404_both"
    """Both forms of cancel are unknown methods."""
    CANCEL_DELAY = "cancel.delay"
    """A cancel takes effect after `value` seconds instead of the scenario's `cancel_seconds`."""
    CANCEL_NEVER = "cancel.never"
    """A cancel is accepted with 200 and has no effect."""
    CANCEL_TERMINAL_400 = "cancel.terminal_400"
    """The cancel of an ended run is refused with 400 failed_precondition instead of accepted with 200."""
    CHAIN_SETTLING = "chain.settling"
    """A launch that continues a run which ended less than `value` seconds ago is refused with 400."""
    SANDBOX_IGNORED = "env_delete.run_goes_on"
    """A run continues when its sandbox is deleted, instead of failing (the real behaviour is undocumented)."""
    SSE_NO_EVENT_ID = "sse.no_event_id"
    """Events have no event_id; a resumed stream ignores last_event_id and starts at the first event."""
    SSE_SOME_EVENT_ID = "sse.some_event_id"
    """Only deltas have an event_id."""
    SSE_REPLAY_ALL = "sse.replay_all"
    """A resumed stream ignores last_event_id."""
    SSE_TWO_THEN_SILENCE = "sse.two_then_silence"
    """A resumed stream sends two events and then nothing."""
    SSE_CUT = "sse.cut_600"
    """After `value` seconds the stream sends a JSON array with a 503 error and ends; the run continues."""
    SSE_BARE_REFUSAL = "sse.bare_refusal"
    """The stream sends a raw JSON error and ends; the run is not found any more (js-genai#1973)."""
    SSE_NO_TERMINAL_ON_CANCEL = "sse.no_terminal_on_cancel"
    """The stream of a cancelled run ends without interaction.completed."""
    SSE_SILENCE = "sse.silence"
    """The stream opens and sends nothing."""
    SSE_STALL = "sse.stall"
    """The stream sends nothing after `value` events."""
    SSE_DROP = "sse.drop"
    """The connection closes after `value` events, in the middle of the next frame."""
    SSE_RESET = "sse.reset"
    """The connection ends with a TCP reset after `value` events."""
    SSE_ERROR = "sse.error"
    """After `value` events the stream sends the error gateway_timeout and ends (python-genai#1871)."""
    SSE_NOISE = "sse.noise"
    """The stream has comments, a byte order mark, unknown event types, lines that are not SSE, and CR LF."""
    SSE_DRIP = "sse.drip"
    """The stream arrives byte by byte, `value` seconds apart."""
    SSE_HUGE_LINE = "sse.huge_line"
    """The stream begins with a line of `value` megabytes."""
    SSE_MORE_USAGE = "sse.more_usage"
    """Cumulative usage is also in the metadata of step.delta and in status updates."""
    SSE_GAPS = "sse.gaps"
    """Events are left out of the stream: of all or, with `share`, of some. Streams without a cursor only."""
    SESSION_SETUP = "session.setup"
    """A session refuses messages and its deletion with 409 for `value` seconds after its creation."""
    SESSION_FAILED = "session.failed"
    """A run that fails takes its session along: the session itself is shown as failed."""
    TURN_LATE = "turn.late"
    """What was started in a session is shown only `value` seconds later; it works from the beginning."""
    LIST_LAG = "list.lag"
    """A new session is listed only after `value` seconds."""
    TRIGGER_404 = "trigger.404"
    """Triggers are an unknown method."""
    TRIGGER_LAG = "trigger.lag"
    """An execution of a trigger names its interaction only `value` seconds after its start."""
    TRIGGER_UNLISTED = "trigger.unlisted"
    """The executions of a trigger are not listed."""
    TRIGGER_NO_TIMEOUT = "trigger.no_timeout"
    """execution_timeout_seconds is not enforced."""
    KEY_FORGOTTEN = "key.forgotten"
    """An idempotency key is not recognised when it is sent again."""
    ERR_OLD = "err.old"
    """Errors are `{"error": {"code": 404, "status": "NOT_FOUND", …}}`: the code is a number."""
    ERR_NEW = "err.new"
    """Errors are always `{"error": {"code": "not_found", …}}`."""
    ERR_ARRAY = "err.array"
    """Errors are the old form in an array."""
    ERR_HTML = "err.html"
    """Errors are the HTML page of a gateway."""
    ERR_EMPTY = "err.empty"
    """Errors have no body."""


_ALIASES: Mapping[str, tuple[str, ...]] = {
    "create.503_but_started": ("create.503_but_done",),
    "create.503_not_started": ("create.503",),
    "get.404_grace": ("get.404",),
    "get.403_grace": ("get.403",),
    "get.404_forever": ("get.404", "stream.404"),
}
_VALUE_DEFAULTS: Mapping[ReplyFault | Switch, float] = {
    ReplyFault.SLOW: 1.0,
    ReplyFault.LATE: 1.0,
    ReplyFault.DRIP: 0.001,
    ReplyFault.HUGE: 32.0,
    ReplyFault.RETRY_AFTER: 1.0,
    ReplyFault.RETRY_AFTER_MS: 1.0,
    ReplyFault.RETRY_AFTER_DATE: 1.0,
    ReplyFault.RETRY_INFO: 1.0,
    Switch.USAGE_LATE: 2.0,
    Switch.BUDGET_HIT: 2.0,
    Switch.BUDGET_OVERSHOOT: 50.0,
    Switch.CANCEL_DELAY: 1.0,
    Switch.CHAIN_SETTLING: 1.0,
    Switch.SESSION_SETUP: 1.0,
    Switch.TURN_LATE: 1.0,
    Switch.LIST_LAG: 1.0,
    Switch.SSE_CUT: 600.0,
    Switch.SSE_STALL: 3.0,
    Switch.SSE_DROP: 3.0,
    Switch.SSE_RESET: 3.0,
    Switch.SSE_ERROR: 3.0,
    Switch.SSE_DRIP: 0.001,
    Switch.IDLE_LATE: 1.0,
    Switch.TRIGGER_LAG: 1.0,
    Switch.SSE_HUGE_LINE: 4.0,
}
"""The faults that need a value, with its default. A number given for one of them is its `value`, else its `first`."""
_STATUS = re.compile(r"([3-5]\d\d)(_but_done)?\Z", re.ASCII)
_LIMITS = ("first", "skip", "share", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault that is switched on."""

    name: str
    kind: ReplyFault | Switch
    call: CallKind | None = None
    """The only kind of call it strikes; None is every kind."""
    status: int = 0
    """The HTTP status of STATUS and STATUS_BUT_DONE."""
    first: int | None = None
    """How many chances it takes before it stops; None is no limit."""
    skip: int = 0
    """How many chances it leaves out at the beginning."""
    share: float = 1.0
    """The share of its remaining chances that it takes, chosen by the seed."""
    value: float = 0.0


def parse_faults(spec: FaultSpec) -> tuple[Fault, ...]:
    """Return the faults that `spec` switches on. The setting `false` switches nothing on.

    Raises ValueError for an unknown name, with the nearest known one, and for an unknown limit.
    """
    settings = dict(spec) if isinstance(spec, Mapping) else dict.fromkeys(spec, True)
    return tuple(
        _fault(real, setting)
        for name, setting in settings.items()
        if setting is not False
        for real in _ALIASES.get(name, (name,))
    )


def faults_to_json(spec: FaultSpec) -> dict[str, object] | list[str]:
    """Return `spec` as JSON values."""
    if not isinstance(spec, Mapping):
        return list(spec)
    return {name: dict(setting) if isinstance(setting, Mapping) else setting for name, setting in spec.items()}


def _fault(name: str, setting: bool | float | FaultLimits) -> Fault:
    call, kind, status = _parse_name(name)
    limits = dict(setting) if isinstance(setting, Mapping) else {}
    if unknown := set(limits) - set(_LIMITS):
        raise ValueError(f"fault {name}: unknown {sorted(unknown)}; accepted are {', '.join(_LIMITS)}")
    if not isinstance(setting, bool | Mapping):
        limits["value" if kind in _VALUE_DEFAULTS else "first"] = setting
    first = limits.get("first")
    return Fault(
        name=name,
        kind=kind,
        call=call,
        status=status,
        first=None if first is None else int(first),
        skip=int(limits.get("skip", 0)),
        share=float(limits.get("share", 1.0)),
        value=float(limits.get("value", _VALUE_DEFAULTS.get(kind, 0.0))),
    )


def _parse_name(name: str) -> tuple[CallKind | None, ReplyFault | Switch, int]:
    """Return the call, the kind and the HTTP status (or 0) of a fault's name. Raises ValueError."""
    if name in set(Switch):
        return None, Switch(name), 0
    head, dot, rest = name.partition(".")
    call = CallKind(head) if dot and head in set(CallKind) else None
    fault = rest if call else name
    if match := _STATUS.match(fault):
        return call, ReplyFault.STATUS_BUT_DONE if match[2] else ReplyFault.STATUS, int(match[1])
    if fault in set(ReplyFault) - {ReplyFault.STATUS, ReplyFault.STATUS_BUT_DONE}:
        return call, ReplyFault(fault), 0
    known = [switch.value for switch in Switch] + [f"{call}.{fault}" for call in CallKind for fault in ReplyFault]
    nearest = difflib.get_close_matches(name, [*known, *_ALIASES], n=1)
    raise ValueError(f"no fault is called {name!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else ""))


class FaultSet:
    """The faults of one run, or of all runs, and how many chances to strike each of them has had."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: str = "") -> None:
        self._faults = {fault.name: fault for fault in faults}
        self._seed = seed
        self._chances: Counter[str] = Counter()

    def put(self, faults: Iterable[Fault]) -> None:
        """Switch faults on. The count of a fault that is already on starts again."""
        for fault in faults:
            self._faults[fault.name] = fault
            self._chances.pop(fault.name, None)

    def clear(self) -> None:
        """Switch every fault off."""
        self._faults.clear()
        self._chances.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """The faults that are on, including those that will not strike again."""
        return tuple(self._faults)

    def reply_fault(self, call: CallKind) -> Fault | None:
        """Return the fault that strikes the reply to this call, the first if there are several.

        The call counts as a chance of every fault that applies to it.
        """
        striking = [
            fault
            for fault in self._faults.values()
            if isinstance(fault.kind, ReplyFault) and fault.call in (None, call) and self._strikes(fault)
        ]
        return striking[0] if striking else None

    def trigger(self, switch: Switch) -> Fault | None:
        """Return the fault of this switch if it is on and strikes now. The call counts as one chance of it."""
        fault = self._faults.get(switch.value)
        return fault if fault is not None and self._strikes(fault) else None

    def _strikes(self, fault: Fault) -> bool:
        self._chances[fault.name] += 1
        chance = self._chances[fault.name]
        if chance <= fault.skip or (fault.first is not None and chance > fault.skip + fault.first):
            return False
        return fault.share >= 1.0 or random.Random(f"{self._seed}/{fault.name}/{chance}").random() < fault.share


class FaultRegistry:
    """All faults of one service: those of all runs and those of each launch. The caller holds the lock of the state."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._common = FaultSet(seed=str(seed))
        self._by_launch: dict[str, FaultSet] = {}

    def reset(self) -> None:
        """Switch every fault off and forget all counts."""
        self._common.clear()
        self._by_launch.clear()

    def put(self, spec: FaultSpec) -> None:
        """Switch faults on for all runs. Raises ValueError for an unknown fault."""
        self._common.put(parse_faults(spec))

    def clear(self) -> None:
        """Switch off the faults of all runs. Those of single launches stay."""
        self._common.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """The faults of all runs, including those that will not strike again."""
        return self._common.names

    def of_launch(self, faults: Iterable[Fault], labels: object, prompt: str) -> FaultSet:
        """Return the faults of one launch; `faults` are those of its scenario.

        Launch requests with the same `nightdesk-run` label, or else the same prompt, share one set and its counts.
        """
        label = labels.get("nightdesk-run") if isinstance(labels, dict) else None
        scope = label if isinstance(label, str) else prompt
        if scope not in self._by_launch:
            self._by_launch[scope] = FaultSet(faults, seed=f"{self._seed}/{scope}")
        return self._by_launch[scope]

    def reply_fault(self, call: CallKind, own: FaultSet | None) -> Fault | None:
        """Return the fault that strikes the reply to this call. It counts as a chance in both sets."""
        fault = own.reply_fault(call) if own is not None else None
        common = self._common.reply_fault(call)
        return fault or common

    def trigger(self, switch: Switch, own: FaultSet | None = None) -> Fault | None:
        """Return the fault of this switch if it strikes now: first that of the run, else that of all runs."""
        fault = own.trigger(switch) if own is not None else None
        return fault or self._common.trigger(switch)
