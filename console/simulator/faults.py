"""Fault switches: every way in which the service is known to break its word, by name, counted and seeded.

A name is `call.manner` (`create.lost_reply`, `get.503`), a manner alone (`503`: every call) or a switch of the
service itself (`zombie`, `sse.silence`). Sources: the public issue threads named beside each switch.
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
    """The kinds of call a fault can be limited to."""

    CREATE = "create"
    GET = "get"
    STREAM = "stream"
    """GET with `stream=true`; a create that streams is a create."""
    CANCEL = "cancel"
    """Both forms."""
    DELETE = "delete"
    ENV_CREATE = "env_create"
    ENV_GET = "env_get"
    ENV_LIST = "env_list"
    ENV_DELETE = "env_delete"
    AGENT = "agent"


class ReplyFault(StrEnum):
    """How one reply goes wrong. `…_before`: nothing was done; without it the call took effect."""

    LOST_REPLY = "lost_reply"
    """Done; the connection closes without a byte."""
    DROPPED = "dropped"
    """Not done; the connection closes without a byte."""
    RESET = "reset"
    """Done; TCP reset."""
    RESET_BEFORE = "reset_before"
    HALF_HEADERS = "half_headers"
    HALF_BODY = "half_body"
    """Done; full length announced, half of it sent, closed."""
    GARBAGE = "garbage"
    """Done; 200 with a page of HTML."""
    GARBAGE_BYTES = "garbage_bytes"
    """Done; bytes that are no HTTP."""
    EMPTY = "empty"
    """Done; 200 and no body."""
    NO_ID = "no_id"
    """Done; 200 with JSON that lacks the id."""
    SILENCE = "silence"
    """Done; never a reply."""
    SILENCE_BEFORE = "silence_before"
    SLOW = "slow"
    """Done at once; the reply comes `value` seconds later."""
    LATE = "late"
    """Done `value` seconds later, even where the client has left by then."""
    DRIP = "drip"
    """Done; the body comes byte by byte, `value` seconds apart."""
    HUGE = "huge"
    """Done; the body is padded to `value` megabytes."""
    RETRY_AFTER = "429.retry_after"
    """Not done; 429 with Retry-After: `value` seconds."""
    RETRY_AFTER_MS = "429.retry_after_ms"
    """Not done; 429 with retry-after-ms."""
    RETRY_AFTER_DATE = "429.retry_after_date"
    """Not done; 429 with Retry-After as an HTTP date, `value` seconds ahead."""
    RETRY_INFO = "429.retryinfo"
    """Not done; 429 with RetryInfo in `details` (python-genai#1875)."""
    RETRY_BARE = "429.bare"
    """Not done; 429 and no hint."""
    STATUS = "status"
    """Not done; any HTTP status (`create.503`)."""
    STATUS_BUT_DONE = "status_but_done"
    """Done; any HTTP status (`create.503_but_done`)."""


class Switch(StrEnum):
    """How the service itself behaves."""

    ZOMBIE = "zombie"
    """in_progress with `steps: []` for ever (big-AGI#1088)."""
    USAGE_LATE = "usage.late"
    """An ended run shows its usage only after `value` polls; the stream's last event has none (big-AGI#1143)."""
    USAGE_ABSENT = "usage.absent"
    """No usage anywhere, ever."""
    USAGE_ABSENT_MIDRUN = "usage.absent_midrun"
    """No usage in `step.stop` either."""
    USAGE_MIDRUN = "usage.midrun"
    """GET shows usage while the run goes on."""
    STEPS_ABSENT_MIDRUN = "steps.absent_midrun"
    """GET shows `steps: []` while the run goes on."""
    BUDGET_HIT = "budget.hit"
    """The server's token limit is reached by step `value`, however large it is."""
    BUDGET_EXCEEDED = "budget.exceeded"
    """A reached limit ends the run as budget_exceeded; else as incomplete."""
    BUDGET_OVERSHOOT = "budget.overshoot"
    """The limit is enforced `value` percent too late."""
    BUDGET_IGNORED = "budget.ignored"
    """The limit is not enforced."""
    ECHO_INT = "echo.int"
    """max_total_tokens comes back as a number; else as a string, as proto JSON writes an int64."""
    CANCEL_404_SLASH = "cancel.404_slash"
    """`/cancel` is an unknown method, `:cancel` works (python-genai#1971)."""
    CANCEL_404_COLON = "cancel.404_colon"
    """`:cancel` is an unknown method, `/cancel` works."""
    CANCEL_404_BOTH = "cancel.404_both"
    CANCEL_DELAY = "cancel.delay"
    """A cancel takes effect `value` seconds later, instead of the scenario's `cancel_seconds`."""
    CANCEL_NEVER = "cancel.never"
    """A cancel is answered with 200 and has no effect."""
    CANCEL_TERMINAL_400 = "cancel.terminal_400"
    """Cancel of an ended run: 400 failed_precondition; else 200 with the run."""
    CHAIN_SETTLING = "chain.settling"
    """Chaining on a run that ended less than `value` seconds ago: 400 failed_precondition."""
    SANDBOX_IGNORED = "env_delete.run_goes_on"
    """Deleting a sandbox leaves the run in it alone; else it fails (undocumented)."""
    SSE_NO_EVENT_ID = "sse.no_event_id"
    """No event_id; last_event_id is ignored and the replay starts at the first event."""
    SSE_SOME_EVENT_ID = "sse.some_event_id"
    """Only deltas carry an event_id."""
    SSE_REPLAY_ALL = "sse.replay_all"
    """last_event_id is ignored."""
    SSE_TWO_THEN_SILENCE = "sse.two_then_silence"
    """A resumed stream gives two events, then nothing more."""
    SSE_CUT = "sse.cut_600"
    """After `value` seconds a bare JSON array with a 503 in the body, and the end; the run goes on."""
    SSE_BARE_REFUSAL = "sse.bare_refusal"
    """A raw JSON line and the end; GET of the id answers 404 from then on (js-genai#1973)."""
    SSE_NO_TERMINAL_ON_CANCEL = "sse.no_terminal_on_cancel"
    """The stream of a cancelled run ends without interaction.completed."""
    SSE_SILENCE = "sse.silence"
    """Open, and no byte of the body."""
    SSE_STALL = "sse.stall"
    """Silence after `value` events."""
    SSE_DROP = "sse.drop"
    """The connection closes after `value` events, in the middle of the next frame."""
    SSE_RESET = "sse.reset"
    """TCP reset after `value` events."""
    SSE_ERROR = "sse.error"
    """After `value` events an error event gateway_timeout, and the end (python-genai#1871)."""
    SSE_NOISE = "sse.noise"
    """Comments, a byte order mark, unknown event types, lines that are no SSE, CR LF."""
    SSE_DRIP = "sse.drip"
    """Byte by byte, `value` seconds apart."""
    SSE_HUGE_LINE = "sse.huge_line"
    """First of all a line of `value` megabytes."""
    SSE_MORE_USAGE = "sse.more_usage"
    """Cumulative usage also in step.delta metadata and status updates."""
    ERR_OLD = "err.old"
    """`{"error": {"code": 404, "status": "NOT_FOUND", …}}`: the code is a number."""
    ERR_NEW = "err.new"
    """`{"error": {"code": "not_found", …}}`, everywhere."""
    ERR_ARRAY = "err.array"
    """The old form in an array."""
    ERR_HTML = "err.html"
    """A gateway's page."""
    ERR_EMPTY = "err.empty"
    """No body."""


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
    Switch.SSE_CUT: 600.0,
    Switch.SSE_STALL: 3.0,
    Switch.SSE_DROP: 3.0,
    Switch.SSE_RESET: 3.0,
    Switch.SSE_ERROR: 3.0,
    Switch.SSE_DRIP: 0.001,
    Switch.SSE_HUGE_LINE: 4.0,
}
"""Of these a plain number is `value`; of all others it is `first`."""
_STATUS = re.compile(r"([3-5]\d\d)(_but_done)?\Z", re.ASCII)
_LIMITS = ("first", "skip", "share", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One switch that is on."""

    name: str
    kind: ReplyFault | Switch
    call: CallKind | None = None
    """None: every call."""
    status: int = 0
    """The HTTP status of Manner.STATUS and STATUS_BUT_DONE."""
    first: int | None = None
    """It strikes at most so many calls; None is for ever."""
    skip: int = 0
    """It lets so many calls pass before."""
    share: float = 1.0
    """Share of the calls it strikes, by the seed."""
    value: float = 0.0


def _kind_of(name: str) -> tuple[CallKind | None, ReplyFault | Switch, int]:
    if name in set(Switch):
        return None, Switch(name), 0
    head, dot, rest = name.partition(".")
    call = CallKind(head) if dot and head in set(CallKind) else None
    manner = rest if call else name
    if match := _STATUS.match(manner):
        return call, ReplyFault.STATUS_BUT_DONE if match[2] else ReplyFault.STATUS, int(match[1])
    if manner in set(ReplyFault) - {ReplyFault.STATUS, ReplyFault.STATUS_BUT_DONE}:
        return call, ReplyFault(manner), 0
    known = [switch.value for switch in Switch] + [f"{call}.{manner}" for call in CallKind for manner in ReplyFault]
    near = difflib.get_close_matches(name, [*known, *_ALIASES], n=1)
    raise ValueError(f"no fault is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _fault(name: str, setting: bool | float | FaultLimits) -> Fault:
    call, kind, status = _kind_of(name)
    numbers = dict(setting) if isinstance(setting, Mapping) else {}
    if unknown := set(numbers) - set(_LIMITS):
        raise ValueError(f"fault {name}: unknown {sorted(unknown)}; accepted are {', '.join(_LIMITS)}")
    if not isinstance(setting, bool | Mapping):
        numbers["value" if kind in _VALUE_DEFAULTS else "first"] = setting
    first = numbers.get("first")
    return Fault(
        name=name,
        kind=kind,
        call=call,
        status=status,
        first=None if first is None else int(first),
        skip=int(numbers.get("skip", 0)),
        share=float(numbers.get("share", 1.0)),
        value=float(numbers.get("value", _VALUE_DEFAULTS.get(kind, 0.0))),
    )


def parse_faults(spec: FaultSpec) -> tuple[Fault, ...]:
    """The faults that `spec` switches on; a setting of false switches nothing on.

    Raises ValueError for an unknown name (naming the nearest known one) or an unknown limit.
    """
    settings = dict(spec) if isinstance(spec, Mapping) else dict.fromkeys(spec, True)
    return tuple(
        _fault(real, setting)
        for name, setting in settings.items()
        if setting is not False
        for real in _ALIASES.get(name, (name,))
    )


def plain_faults(spec: FaultSpec) -> dict[str, object] | list[str]:
    """`spec` as JSON can hold it."""
    if not isinstance(spec, Mapping):
        return list(spec)
    return {name: dict(setting) if isinstance(setting, Mapping) else setting for name, setting in spec.items()}


class FaultSet:
    """The faults that are on for one run, or for everybody, and how often each had its chance."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: str = "") -> None:
        self._faults = {fault.name: fault for fault in faults}
        self._seed = seed
        self._chances: Counter[str] = Counter()

    def put(self, faults: Iterable[Fault]) -> None:
        """Switches on; a fault that is on already starts to count anew."""
        for fault in faults:
            self._faults[fault.name] = fault
            self._chances.pop(fault.name, None)

    def clear(self) -> None:
        """Switches everything off."""
        self._faults.clear()
        self._chances.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """What is on, spent ones too."""
        return tuple(self._faults)

    def reply_fault(self, call: CallKind) -> Fault | None:
        """The fault that strikes this call's reply; each one that could counts it. The first one wins."""
        struck: Fault | None = None
        for fault in self._faults.values():
            if isinstance(fault.kind, ReplyFault) and fault.call in (None, call) and self._strikes(fault):
                struck = struck or fault
        return struck

    def take(self, switch: Switch) -> Fault | None:
        """The switch where it is on, counting one chance of it."""
        fault = self._faults.get(switch.value)
        return fault if fault is not None and self._strikes(fault) else None

    def _strikes(self, fault: Fault) -> bool:
        self._chances[fault.name] += 1
        chance = self._chances[fault.name]
        if chance <= fault.skip or (fault.first is not None and chance > fault.skip + fault.first):
            return False
        return fault.share >= 1.0 or random.Random(f"{self._seed}/{fault.name}/{chance}").random() < fault.share


class FaultRegistry:
    """The boards of one world. Its owner holds the world's lock."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._common = FaultSet(seed=str(seed))
        self._launches: dict[str, FaultSet] = {}

    def reset(self) -> None:
        """Switches everything off and forgets how often anything struck."""
        self._common.clear()
        self._launches.clear()

    def put(self, spec: FaultSpec) -> None:
        """Switches on for everybody. Raises ValueError for an unknown fault."""
        self._common.put(parse_faults(spec))

    def clear(self) -> None:
        """Switches off what is on for everybody."""
        self._common.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """What is on for everybody, spent faults too."""
        return self._common.names

    def of_launch(self, faults: Iterable[Fault], labels: object, prompt: str) -> FaultSet:
        """One launch's board: repeated creates with the same `nightdesk-run`, or prompt, count together."""
        label = labels.get("nightdesk-run") if isinstance(labels, dict) else None
        scope = label if isinstance(label, str) else prompt
        if scope not in self._launches:
            self._launches[scope] = FaultSet(faults, seed=f"{self._seed}/{scope}")
        return self._launches[scope]

    def reply_fault(self, call: CallKind, own: FaultSet | None) -> Fault | None:
        """What strikes this reply, counting one chance on both boards."""
        fault = own.reply_fault(call) if own is not None else None
        common = self._common.reply_fault(call)
        return fault or common

    def take(self, switch: Switch, own: FaultSet | None = None) -> Fault | None:
        """The switch where it is on, counting one chance."""
        fault = own.take(switch) if own is not None else None
        return fault or self._common.take(switch)
