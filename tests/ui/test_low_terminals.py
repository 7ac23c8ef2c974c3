"""In a low terminal everything that must stay in sight does: the header, the filter that is typed, and the keys."""

from __future__ import annotations

import pytest

from tests.driver import console
from tests.ui.every_screen import world


@pytest.mark.parametrize("height", [16, 20, 24])
async def test_an_open_filter_pushes_no_line_off_the_screen(height: int) -> None:
    engine = world()
    async with console(engine, engine.clock, size=(60, height)) as screen:
        for number in ("1", "2", "3", "4"):
            await screen.press(number, "slash")
            await screen.type("task:nightly")
            lines = screen.lines()
            assert "live of 8" in lines[0], f"screen {number}"
            assert any(each.strip() == "task:nightly" for each in lines), f"screen {number}"
            assert "esc clear" in lines[-1], f"screen {number}"
            await screen.press("escape", "escape")
