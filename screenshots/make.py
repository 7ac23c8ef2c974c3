"""Make the pictures of the README from the real console on the demo: `python screenshots/make.py [FOLDER]`.

Each picture is an SVG of what the terminal shows. It refers to no font or file from the network.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from console.demo.runner import Demo, running_demo
from console.ui.app import ConsoleApp
from console.ui.context import Context, ExitResult, SessionInfo
from console.ui.glyphs import UNICODE
from console.ui.theme import Themes, load_themes

FONTS = "'JetBrains Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
BY = "you tty=yes"
WARM_UP_S = 13.0
"""Seconds until the runs of the demo have taken some steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: the keys to press before it is taken, and the size and theme of the terminal."""

    name: str
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = (120, 36)
    theme: str = "night"


DOWN_TWICE = ("j", "j")
SCREENS = (
    Picture(name="runs", keys=DOWN_TWICE),
    Picture(name="runs-80x24", keys=("j",), size=(80, 24)),
    Picture(name="detail", keys=(*DOWN_TWICE, "enter")),
    Picture(name="launch", keys=("l", "r", "e", "l", "enter")),
    Picture(name="history", keys=("2", "j")),
    Picture(name="rollout", keys=("3",)),
    Picture(name="usage", keys=("4",)),
    Picture(name="commands", keys=("j", "c")),
    Picture(name="help", keys=("question_mark",)),
)
"""Every screen, in the theme of a terminal with all colours."""


def pictures(themes: Themes) -> tuple[Picture, ...]:
    """Return a picture of every screen, then one of the runs in every other theme."""
    others = sorted(set(themes.by_name) - {picture.theme for picture in SCREENS})
    return (*SCREENS, *(Picture(name=f"runs-{theme}", keys=DOWN_TWICE, theme=theme) for theme in others))


async def take(demo: Demo, picture: Picture, folder: Path) -> None:
    """Open a console on the running engine, press the keys, and save the picture."""
    session = SessionInfo(user="ops", host="web1", name="prod")
    context = Context(engine=demo.app.engine, clock=demo.app.clock, glyphs=UNICODE, by=BY, session=session)
    app = ConsoleApp(context, themes=load_themes(), theme=picture.theme)

    async def press(pilot: Pilot[ExitResult]) -> None:
        await settle(pilot)
        for key in picture.keys:
            await pilot.press(key)
            await settle(pilot)
        (folder / f"{picture.name}.svg").write_text(self_contained(app.export_screenshot()), encoding="utf-8")

    async def settle(pilot: Pilot[ExitResult]) -> None:
        await pilot.pause()
        await app.background.wait()
        await pilot.pause()

    async with app.run_test(size=picture.size) as pilot:
        await press(pilot)


def self_contained(svg: str) -> str:
    """Remove web fonts, make every viewer keep blanks, and strip trailing blanks."""
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    svg = svg.replace("<text ", '<text xml:space="preserve" ')
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


async def main(folder: Path) -> None:
    """Take all pictures on one demo."""
    async with running_demo(BY) as demo:
        await asyncio.sleep(WARM_UP_S)
        for picture in pictures(load_themes()):
            await take(demo, picture, folder)
        await demo.app.engine.operations.stop_all(by=BY)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
