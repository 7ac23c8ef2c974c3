"""News: each change is reported once, in the order of urgency, and never in text from outside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.caps import Cap, CapUsage
from console.domain.notice import NoticeKind
from console.domain.run import Outcome, Run, State, StopReason, StopRequest
from console.domain.task import Stage
from console.engine.models import NextLaunch, Owner, Snapshot
from console.engine.notices import find_notices, kind_of
from console.engine.problems import Problem
from console.ui.spans import Tone
from console.ui.state.notifications import BELL, QUIET_TITLE, TITLES, Notifier, notice_line, title_sequence
from console.ui.state.view_state import ViewState
from console.ui.terminal.renderer import KEEP_TITLE, DiffRenderer
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

CAP = CapUsage(cap=Cap.DAILY_UNITS, limit=2_000_000, held=0, spent=0, frees_at_ms=samples.moment(3600).wall_ms)


def snapshot(*live: Run, recent: tuple[Run, ...] = ()) -> Snapshot:
    return Snapshot(taken=samples.NOW, live=live, recent=recent)


def ended(number: int, outcome: Outcome) -> Run:
    return samples.run(number, State.ENDED, outcome=outcome)


class Ears:
    """A notifier and what it wrote."""

    def __init__(self, *, bell: bool = True, titles: bool = True) -> None:
        self.written: list[str] = []
        self.notifier = Notifier(self.written.append, bell=bell, titles=titles)

    def update(self, now: Snapshot, *, trouble: str = "") -> str | None:
        span = self.notifier.update(ViewState(snapshot=now, now=samples.NOW, trouble=trouble))
        return span.text if span is not None else None


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.TIMEOUT, NoticeKind.CUT_OFF),
        (Outcome.BUDGET, NoticeKind.CUT_OFF),
        (Outcome.FAILED, NoticeKind.FAILED),
        (Outcome.NOT_SENT, NoticeKind.FAILED),
        (Outcome.OK, NoticeKind.FINISHED),
        (Outcome.DECLINED, None),
        (Outcome.WRITTEN_OFF, None),
        (Outcome.SKIPPED, None),
    ],
)
def test_endings_are_sorted_by_what_they_ask_of_a_person(outcome: Outcome, kind: NoticeKind | None) -> None:
    assert kind_of(ended(1, outcome), samples.NOW.wall_ms) is kind


def test_every_change_is_reported_once_and_the_most_urgent_first() -> None:
    running = [samples.run(number) for number in range(10, 14)]
    proposal, unsure = samples.proposal(), samples.unconfirmed()
    before = snapshot(*running)
    after = snapshot(
        proposal,
        unsure,
        running[3],
        recent=(ended(10, Outcome.OK), ended(11, Outcome.FAILED), ended(12, Outcome.TIMEOUT)),
    )
    told = find_notices(before, after)
    assert [each.kind for each in told] == [
        NoticeKind.UNCONFIRMED,
        NoticeKind.CUT_OFF,
        NoticeKind.WAITING,
        NoticeKind.FAILED,
        NoticeKind.FINISHED,
    ]
    assert find_notices(after, after) == ()
    assert find_notices(before, before) == ()


def test_a_run_that_began_and_ended_between_two_refreshes_is_reported() -> None:
    assert [each.kind for each in find_notices(snapshot(), snapshot(recent=(ended(1, Outcome.BUDGET),)))] == [
        NoticeKind.CUT_OFF
    ]


def test_a_stop_without_proof_is_as_urgent_as_an_unconfirmed_run_and_reported_again_when_it_ends() -> None:
    stop = StopRequest(reason=StopReason.TIMEOUT, by="nightdesk", at_ms=0, tries=9)
    stopping = replace(samples.run(1, State.STOPPING), stop=stop)
    alarmed = replace(stopping, stop=replace(stop, alarmed=True))
    assert find_notices(snapshot(samples.run(1)), snapshot(stopping)) == (), "stopping is not stopped"
    (told,) = find_notices(snapshot(stopping), snapshot(alarmed))
    assert told.kind is NoticeKind.UNCONFIRMED
    assert "no proof of a stop" in notice_line([told]).text
    (told,) = find_notices(snapshot(alarmed), snapshot(recent=(ended(1, Outcome.TIMEOUT),)))
    assert told.kind is NoticeKind.CUT_OFF


PROBLEM = Problem(topic="offline", text="no answer", since_ms=samples.NOW.wall_ms, last_ms=0, count=1)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"problems": (PROBLEM,)}, NoticeKind.OFFLINE, "no answer"),
        (
            {"problems": (replace(PROBLEM, topic="missed a", text="a missed 2 scheduled times"),)},
            NoticeKind.MISSED,
            "a missed 2 scheduled times",
        ),
        ({"live": (replace(samples.run(1), stalled=True),)}, NoticeKind.STALLED, "nightly-report stalled: no new step"),
        ({"stages": {"a": Stage.SEMI}}, NoticeKind.DEMOTED, "a was demoted to semi"),
        ({"scheduler": None}, NoticeKind.NOBODY_SCHEDULES, "nobody schedules: nightly-report will be missed"),
        ({"cap_usages": (replace(CAP, spent=1_700_000),)}, NoticeKind.CAP_NEAR, "daily_units is used to 80 %"),
        ({"cap_usages": (replace(CAP, spent=2_000_000),)}, NoticeKind.CAP_REACHED, "daily_units is reached"),
    ],
)
def test_what_is_not_an_ending_is_news_too_and_once(changes: dict[str, object], kind: NoticeKind, words: str) -> None:
    before = replace(
        snapshot(samples.run(1)),
        scheduler=Owner(id="s", kind="serve", pid=8, alive=True, mine=False),
        next_launch=NextLaunch(task="nightly-report", at_ms=samples.moment(60).wall_ms),
        stages={"a": Stage.UNATTENDED},
        cap_usages=(CAP,),
    )
    after = replace(before, **changes)  # type: ignore[arg-type]  # fields of Snapshot by name
    (told,) = find_notices(before, after)
    assert (told.kind, told.text) == (kind, words)
    assert find_notices(after, after) == ()
    ears = Ears()
    ears.update(before)
    ears.update(after)
    assert ears.written[0] == BELL


def test_a_problem_that_is_over_at_once_rings_no_bell() -> None:
    young = replace(PROBLEM, topic="store", since_ms=samples.moment(-1).wall_ms)
    assert find_notices(snapshot(), replace(snapshot(), problems=(young,))) == ()
    old = replace(young, since_ms=samples.moment(-9).wall_ms)
    (told,) = find_notices(replace(snapshot(), problems=(young,)), replace(snapshot(), problems=(old,)))
    assert told.kind is NoticeKind.TROUBLE


def test_a_proposal_is_news_again_shortly_before_it_expires() -> None:
    proposal = replace(samples.proposal(), expires_ms=samples.moment(20 * 60).wall_ms)
    before, later = snapshot(proposal), replace(snapshot(proposal), taken=samples.moment(6 * 60))
    (told,) = find_notices(before, later)
    assert told.text == "crawl-docs expires soon without approval"
    assert find_notices(later, later) == ()


def test_a_cap_whose_use_goes_up_and_down_is_reported_once_in_its_period() -> None:
    ears = Ears()
    for spent in (0, 1_700_000, 0, 1_700_000):
        ears.update(replace(snapshot(), cap_usages=(replace(CAP, spent=spent),)))
    assert ears.written.count(BELL) == 1


def test_the_line_names_the_most_urgent_and_counts_the_others() -> None:
    after = snapshot(
        samples.unconfirmed(), recent=(ended(10, Outcome.OK), ended(11, Outcome.OK), ended(12, Outcome.TIMEOUT))
    )
    span = notice_line(reversed(find_notices(snapshot(), after)))
    assert span.text == "update-deps is unconfirmed  1 more cut off  2 more finished"
    assert span.tone is Tone.LOUD


def test_names_from_outside_are_cleaned() -> None:
    hostile = replace(samples.proposal(), task="a\x1b]2;owned\x07b")
    text = notice_line(find_notices(snapshot(), snapshot(hostile))).text
    assert text.isprintable()


def test_the_first_refresh_and_failed_ones_report_nothing() -> None:
    ears = Ears()
    assert ears.update(snapshot(), trouble="busy") is None
    assert ears.update(snapshot(samples.unconfirmed())) is None
    assert ears.update(snapshot(), trouble="busy") is None, "an empty look in trouble is not an ending"
    assert ears.update(snapshot(samples.unconfirmed())) is None
    assert ears.written == []


def test_the_bell_rings_once_a_change_and_the_title_falls_back_when_a_key_is_pressed() -> None:
    ears = Ears()
    ears.update(snapshot())
    cut_off = ended(1, Outcome.TIMEOUT)
    ears.update(snapshot(recent=(cut_off,)))
    ears.update(snapshot(recent=(cut_off,)))
    assert ears.written == [BELL, title_sequence(f"{QUIET_TITLE}: {TITLES[NoticeKind.CUT_OFF]}")]
    ears.written.clear()
    assert "cut off" in str(ears.update(snapshot(recent=(ended(2, Outcome.FAILED), cut_off))))
    assert ears.written == [BELL], "what is less urgent does not lower the title"
    ears.notifier.mark_seen()
    assert ears.written[1:] == [title_sequence(QUIET_TITLE)]
    assert ears.update(snapshot(recent=(ended(2, Outcome.FAILED), cut_off))) is None


def test_what_went_well_rings_no_bell_and_names_no_window() -> None:
    ears = Ears()
    ears.update(snapshot())
    assert ears.update(snapshot(recent=(ended(1, Outcome.OK),))) == "nightly-report: ok"
    ears.notifier.mark_seen()
    assert ears.written == []


def test_bell_and_title_can_be_off() -> None:
    ears = Ears(bell=False, titles=False)
    ears.update(snapshot())
    assert ears.update(snapshot(samples.unconfirmed())) is not None
    assert ears.written == []


def test_only_fixed_titles_are_sent_and_the_old_one_is_saved_first() -> None:
    painter = DiffRenderer(20, 3)
    painter.frame()
    painter.feed("\x1b]2;owned\x07\x1b]0;owned\x07\x1b]2;nightdesk; rm\x07")
    assert painter.frame() == ""
    assert not painter.has_set_title
    titles = [QUIET_TITLE, *(f"{QUIET_TITLE} web1: {words}" for words in sorted(TITLES.values()))]
    for words in titles:
        painter.feed(title_sequence(words))
    assert painter.has_set_title
    assert painter.frame() == KEEP_TITLE + "".join(map(title_sequence, titles))
    painter.feed(title_sequence(QUIET_TITLE))
    assert painter.frame() == title_sequence(QUIET_TITLE)


def test_a_terminal_that_does_not_read_gets_one_ring() -> None:
    painter = DiffRenderer(20, 3)
    painter.frame()
    for _ in range(1000):
        painter.feed(BELL + title_sequence(QUIET_TITLE))
    assert painter.frame() == KEEP_TITLE + BELL + title_sequence(QUIET_TITLE)


async def test_a_notification_is_on_the_last_line_for_a_while(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        running = next(run for run in busy.live if run.state is State.RUNNING)
        busy.end(running.id, Outcome.BUDGET)
        await screen.tick()
        assert screen.bottom().startswith(f"{running.task} was cut off: budget ")
        busy.clock.advance(16)
        await screen.tick()
        assert "kill switch" in screen.bottom()


async def test_a_notice_leaves_with_the_next_key_once_it_could_be_read(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("space")
        assert "1 marked" in screen.bottom()
        await screen.press("j")
        assert "1 marked" in screen.bottom(), "a key typed ahead does not wipe it away unread"
        busy.clock.advance(2)
        await screen.press("j")
        assert "1 marked" not in screen.bottom()
        assert "kill switch" in screen.bottom()
        await screen.press("space")
        assert "2 marked" in screen.bottom()
        busy.clock.advance(6)
        await screen.tick()
        assert "kill switch" in screen.bottom(), "and goes by itself"
