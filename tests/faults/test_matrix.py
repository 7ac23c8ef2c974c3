"""Every kind of call meets every kind of fault: at most one POST, and the result that the design demands."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from console.provider.anthropic.adapter import AnthropicProvider
from console.provider.contract import (
    RUN_LABEL,
    Fenced,
    LaunchOrder,
    LostLaunch,
    NotSent,
    Provider,
    Resolution,
    Unknown,
    Verdict,
)
from console.provider.gemini.adapter import GeminiProvider
from console.provider.openai.adapter import OpenAIProvider
from console.simulator.faults import CallKind
from tests.faults.cell import run_cell
from tests.faults.matrix import Cell, Position, cells
from tests.reporting import report

AT_A_TIME = 16


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect once the event loop is gone: here the warnings are expected, later they would fail another test."""
    yield
    gc.collect()


async def _all(planned: Sequence[Cell], folder: Path, client: Callable[..., Provider] | None = None) -> list[list[str]]:
    """What was wrong in each cell."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(number: int, cell: Cell) -> list[str]:
        async with turns:
            return await run_cell(cell, folder / f"{number}", client)

    return await asyncio.gather(*(one(number, cell) for number, cell in enumerate(planned)))


@pytest.mark.parametrize(("kind", "least"), [("gemini", 400), ("anthropic", 380), ("openai", 380)])
async def test_every_cell_has_the_expected_result(kind: str, least: int, tmp_path: Path) -> None:
    planned, began = list(cells(kind)), time.monotonic()
    found = await _all(planned, tmp_path)
    report(f"{kind}: {len(planned)} cells, {time.monotonic() - began:.0f} s")
    assert len(planned) >= least
    assert not any(found), "\n".join(line for lines in found for line in lines)


class SendsAgain(GeminiProvider):
    """Sends the POST again when no answer came."""

    async def create(self, order: LaunchOrder) -> Verdict:
        verdict = await super().create(order)
        return await super().create(order) if isinstance(verdict, Unknown) else verdict


class TakesSilenceForNo(GeminiProvider):
    """Takes a missing answer for a POST that never left."""

    async def create(self, order: LaunchOrder) -> Verdict:
        verdict = await super().create(order)
        return NotSent(why="no answer") if isinstance(verdict, Unknown) else verdict


@pytest.mark.parametrize("client", [SendsAgain, TakesSilenceForNo])
async def test_a_planted_bug_is_found_by_every_cell_that_can_show_it(
    client: type[GeminiProvider], tmp_path: Path
) -> None:
    planned = [
        Cell(call=CallKind.CREATE, fault=name, position=Position.FIRST)
        for name in ("lost_reply", "half_body", "garbage", "503_but_done", "no_id")
    ]
    assert all(await _all(planned, tmp_path, client))


class SendsTheMessageAgain(AnthropicProvider):
    """Sends the message again when no answer came: the service takes it for another one."""

    async def create(self, order: LaunchOrder) -> Verdict:
        verdict = await super().create(order)
        return await super().create(order) if isinstance(verdict, Unknown) else verdict


class TakesAbsenceForProof(AnthropicProvider):
    """Rules that nothing was launched without deleting the session, or even reading it."""

    async def resolve(self, lost: LostLaunch) -> Resolution:
        return Fenced(why="no answer")


@pytest.mark.parametrize("client", [SendsTheMessageAgain, TakesAbsenceForProof])
async def test_a_planted_bug_at_sessions_is_found_by_every_cell_that_can_show_it(
    client: type[AnthropicProvider], tmp_path: Path
) -> None:
    planned = [
        Cell(call=CallKind.CREATE, fault=name, position=Position.FIRST, kind="anthropic")
        for name in ("lost_reply", "half_body", "garbage", "503_but_done", "reset")
    ]
    assert all(await _all(planned, tmp_path, client))


class RepeatsWithAnotherKey(OpenAIProvider):
    """Sends each start with a key of its own: the service takes the repetition for another message."""

    async def create(self, order: LaunchOrder) -> Verdict:
        labels = {**order.labels, RUN_LABEL: f"{order.labels[RUN_LABEL]}-{secrets.token_hex(4)}"}
        return await super().create(replace(order, labels=labels))


class TakesNoTurnForProof(OpenAIProvider):
    """Rules that nothing was launched without deleting the session, or even reading it."""

    async def resolve(self, lost: LostLaunch) -> Resolution:
        return Fenced(why="no answer")


@pytest.mark.parametrize("client", [RepeatsWithAnotherKey, TakesNoTurnForProof])
async def test_a_planted_bug_at_a_service_with_keys_is_found_by_every_cell_that_can_show_it(
    client: type[OpenAIProvider], tmp_path: Path
) -> None:
    planned = [
        Cell(call=CallKind.CREATE, fault=name, position=Position.EVERY, kind="openai")
        for name in ("lost_reply", "half_body", "garbage", "503_but_done", "reset")
    ]
    assert all(await _all(planned, tmp_path, client))
