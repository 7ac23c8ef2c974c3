"""Pictures of the screen, to be reviewed when they change: empty, busy and in trouble, wide and narrow.

`pytest tests/ui/test_pictures.py --snapshot-update` after the report was looked at, as a commit of its own. Made
with Python 3.11 and the pinned Textual.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from console.engine.models import Pause
from console.ui.app import ConsoleApp
from console.ui.context import Context
from console.ui.glyphs import UNICODE
from console.ui.theme import load_themes
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

Compare = Callable[..., bool]


def empty() -> FakeEngine:
    return FakeEngine()


def busy() -> FakeEngine:
    live = list(samples.busy())
    return FakeEngine(live=live, recent=list(samples.ended()), guarded=frozenset(run.id for run in live))


def trouble() -> FakeEngine:
    engine = busy()
    engine.live[2] = samples.stopping(3, alarmed=True)
    engine.paused = Pause(since_ms=samples.moment(-3600).wall_ms, by="bob tty=yes")
    engine.problems = (samples.problem("the provider does not answer: connect timeout"),)
    return engine


@pytest.mark.parametrize("size", [(120, 36), (80, 24)], ids=["wide", "narrow"])
@pytest.mark.parametrize("make", [empty, busy, trouble])
def test_the_runs_screen(snap_compare: Compare, make: Callable[[], FakeEngine], size: tuple[int, int]) -> None:
    engine = make()
    context = Context(engine=engine, clock=engine.clock, glyphs=UNICODE, by="alice tty=yes")
    app = ConsoleApp(context, themes=load_themes(), theme="night")
    keys = ["j", "j", "wait:50"] if engine.live else ["wait:50"]
    assert snap_compare(app, press=keys, terminal_size=size)
