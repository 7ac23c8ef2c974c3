"""Pictures of every screen and dialog at every size and in every kind of theme, to be looked at.

`python -m tests.ui.every_screen FOLDER [NAME…]` writes an SVG of each into FOLDER, and a PNG where rsvg-convert is
installed; with names, of these screens only.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.domain.rollout import Evidence
from console.domain.task import Stage
from console.engine.models import Pause, TaskRollout
from console.ui.context import SessionInfo
from screenshots.make import self_contained
from tests.driver import Console, console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

SIZES = ((60, 20), (80, 24), (120, 36), (200, 60))
THEMES = ("night", "day", "sixteen")

PROPOSAL, UNCONFIRMED, RUNNING = ("g",), ("g", "j"), ("g", "j", "j", "j")
"""The keys that select such a run."""
SCREENS: dict[str, tuple[str, ...]] = {
    "runs": RUNNING,
    "runs-proposal": PROPOSAL,
    "runs-filter": ("slash", *"task:nightly"),
    "detail": (*RUNNING, "enter"),
    "detail-unconfirmed": (*UNCONFIRMED, "enter"),
    "history": ("2", "j"),
    "history-filter": ("2", "slash", *"outcome:ok"),
    "rollout": ("3", "j"),
    "stage-history": ("3", "h"),
    "usage": ("4",),
    "usage-cost": ("4", "u"),
    "agenda": ("5",),
    "audit": ("6",),
    "help": ("question_mark",),
    "problems": ("exclamation_mark",),
    "palette": ("colon",),
    "commands": (*RUNNING, "c"),
    "launch-which": ("l",),
    "launch": ("l", "enter"),
    "approve": (*PROPOSAL, "a"),
    "approve-reason": (*PROPOSAL, "a", "r", *"seen"),
    "decline": (*PROPOSAL, "d"),
    "prompt": (*PROPOSAL, "a", "p"),
    "settle": (*UNCONFIRMED, "s"),
    "settle-adopt": (*UNCONFIRMED, "s", "l", "enter"),
    "kill-switch": ("X",),
    "cancel-marked": (*RUNNING, "space", "space", "x"),
    "promote": ("3", "p"),
    "demote": ("3", "j", "P"),
    "copy": (*RUNNING, "enter", "y"),
    "quit": ("q",),
}
"""By name: the keys that show it."""


def world() -> FakeEngine:
    """Runs in every state, with trouble."""
    live = list(samples.busy())
    engine = FakeEngine(
        live=live,
        recent=list(samples.ended()),
        guarded=frozenset(run.id for run in live),
        evidence=Evidence(
            since_ms=None, ran=4, approved_ok=3, guards_held=1, unconfirmed=1, p95_units=61_000, p95_ms=9
        ),
        approved_text="Summarise yesterday's errors.",
    )
    engine.live[2] = samples.stopping(3, alarmed=True)
    engine.paused = Pause(since_ms=samples.moment(-3600).wall_ms, by="bob tty=yes")
    engine.problems = (samples.problem("the provider does not answer: connect timeout"),)
    engine.rollouts = tuple(
        TaskRollout(
            task=task,
            stage=stage,
            effective=stage,
            evidence=Evidence(since_ms=None, ran=2, manual_ok=1),
            unmet_criteria=() if stage is Stage.MANUAL else ("2 more approved, successful runs",),
        )
        for task, stage in zip(samples.TASKS, (Stage.MANUAL, Stage.SEMI, *(Stage.UNATTENDED,) * 9), strict=False)
    )
    return engine


async def picture(folder: Path, name: str, theme: str, size: tuple[int, int]) -> Path:
    """Open a console, press the keys and write the SVG."""
    engine = world()
    session = SessionInfo(user="ops", host="web1", name="prod")
    async with console(engine, engine.clock, size=size, theme=theme, session=session) as screen:
        await _press(screen, SCREENS[name])
        path = folder / f"{name}-{theme}-{size[0]}x{size[1]}.svg"
        path.write_text(self_contained(screen.app.export_screenshot()), encoding="utf-8")
    return path


async def _press(screen: Console, keys: Sequence[str]) -> None:
    for key in keys:
        await screen.press(key)


def as_png(path: Path) -> None:
    """Write the PNG beside an SVG, where there is a program for it."""
    if shutil.which("rsvg-convert") is not None:
        subprocess.run(["rsvg-convert", "-o", str(path.with_suffix(".png")), str(path)], check=True)


def wanted(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every screen, or those with these names, in every theme."""
    for name in names or SCREENS:
        for theme in THEMES:
            yield name, theme


async def main(folder: Path, names: Sequence[str]) -> None:
    """Make all pictures."""
    for name, theme in wanted(names):
        for size in SIZES:
            as_png(await picture(folder, name, theme, size))
        sys.stdout.write(f"{name} {theme}\n")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target, sys.argv[2:]))
