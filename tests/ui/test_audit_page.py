"""`6` shows who did what over any screen, at every width."""

from __future__ import annotations

import re

import pytest

from tests.driver import console
from tests.ui.fake_engine import FakeEngine


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36), (200, 60)])
async def test_the_audit_shows_who_did_what_from_where_and_why(busy: FakeEngine, size: tuple[int, int]) -> None:
    async with console(busy, busy.clock, size=size) as screen:
        await screen.press("6")
        text = " ".join(re.sub("[│▁-█]", "", screen.text()).split())
        assert "2026-11-23 04:19 cancel" in text
        assert "root (sudo by alice; from 10.0.0.5;" in text
        assert "it reads the wrong log" in text
        await screen.press("pagedown")
        assert "-> semi" in screen.text()
        await screen.press("escape")
        assert "Who did what" not in screen.text()


async def test_an_audit_that_cannot_be_read_is_one_notice(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        busy.broken = ValueError("the store is busy")
        await screen.press("6")
        assert "the store is busy" in screen.bottom()
