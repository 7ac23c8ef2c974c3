"""A fault strikes the calls that its name and limits say, chosen by the seed alone."""

from __future__ import annotations

import pytest

from console.simulator.faults import CallKind, Fault, FaultSet, FaultSpec, ReplyFault, Switch, parse_faults


def _faults(spec: FaultSpec, seed: str = "seed") -> FaultSet:
    return FaultSet(parse_faults(spec), seed=seed)


def _only(spec: FaultSpec) -> Fault:
    (fault,) = parse_faults(spec)
    return fault


def test_a_name_with_a_call_strikes_only_that_call() -> None:
    faults = _faults(["get.503"])
    assert faults.reply_fault(CallKind.CREATE) is None
    struck = faults.reply_fault(CallKind.GET)
    assert struck is not None
    assert (struck.kind, struck.status) == (ReplyFault.STATUS, 503)


def test_a_name_without_a_call_strikes_every_call() -> None:
    faults = _faults(["reset"])
    assert all(faults.reply_fault(call) is not None for call in CallKind)


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("create.503_but_started", ReplyFault.STATUS_BUT_DONE, 503),
        ("create.503_not_started", ReplyFault.STATUS, 503),
        ("create.500_but_done", ReplyFault.STATUS_BUT_DONE, 500),
        ("create.307", ReplyFault.STATUS, 307),
        ("create.429.retry_after", ReplyFault.RETRY_AFTER, 0),
        ("delete.501", ReplyFault.STATUS, 501),
        ("get.404_grace", ReplyFault.STATUS, 404),
        ("get.403_grace", ReplyFault.STATUS, 403),
        ("env_create.lost_reply", ReplyFault.LOST_REPLY, 0),
    ],
)
def test_documented_names(name: str, kind: ReplyFault, status: int) -> None:
    fault = _only([name])
    assert (fault.kind, fault.status) == (kind, status)
    assert fault.call == name.split(".")[0]


def test_404_forever_strikes_polls_and_streams() -> None:
    faults = _faults(["get.404_forever"])
    assert faults.reply_fault(CallKind.GET)
    assert faults.reply_fault(CallKind.STREAM)
    assert not faults.reply_fault(CallKind.CANCEL)


def test_a_plain_number_is_the_value_of_a_fault_that_needs_one_and_else_a_count() -> None:
    assert _only({"create.lost_reply": 2}).first == 2
    slow = _only({"get.slow": 0.25})
    assert (slow.first, slow.value) == (None, 0.25)
    assert _only({"zombie": 1}).first == 1
    assert _only({"usage.late": 5}).value == 5


def test_first_and_skip_limit_the_calls_it_strikes() -> None:
    faults = _faults({"get.503": {"skip": 1, "first": 2}})
    assert [faults.reply_fault(CallKind.GET) is not None for _ in range(5)] == [False, True, True, False, False]


def test_other_calls_do_not_count_as_chances() -> None:
    faults = _faults({"get.503": 1})
    faults.reply_fault(CallKind.CREATE)
    assert faults.reply_fault(CallKind.GET) is not None


def test_a_share_of_the_calls_is_chosen_by_the_seed() -> None:
    spec = {"get.503": {"share": 0.3}}

    def strikes(seed: str) -> list[bool]:
        faults = _faults(spec, seed)
        return [faults.reply_fault(CallKind.GET) is not None for _ in range(1000)]

    assert strikes("a") == strikes("a") != strikes("b")
    assert 200 < sum(strikes("a")) < 400


def test_false_switches_nothing_on_and_switching_on_again_restarts_the_count() -> None:
    faults = _faults({"zombie": False})
    assert faults.names == ()
    for _ in range(2):
        faults.put(parse_faults({"zombie": 1}))
        assert [faults.trigger(Switch.ZOMBIE) is not None for _ in range(2)] == [True, False]
    faults.clear()
    assert faults.trigger(Switch.ZOMBIE) is None


@pytest.mark.parametrize("name", ["", "create.", "create.lost", "nobody.503", "get.200", "status", "get.status"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no fault is called"):
        parse_faults([name])
