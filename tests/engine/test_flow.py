"""How much of the program a reader passes on the way of a launch, and of a stop: it does not grow unseen."""

from __future__ import annotations

import pytest

from benchmarks.flow import measure
from tests.reporting import report

MOST = {"first launch of a process": (42, 223), "further launch": (43, 218), "stop": (39, 212)}
"""Files and functions. One file and a twentieth of the functions are to spare; more than that is a decision."""


TRIES = 3
"""Measurements of which one has to be within MOST: on a busy machine other work may fall into one of them."""


@pytest.mark.proofs
async def test_a_launch_and_a_stop_pass_no_more_of_the_program_than_before() -> None:
    too_long: dict[str, tuple[int, int]] = {}
    for _ in range(TRIES):
        passed = {way: (len(called), sum(map(len, called.values()))) for way, called in (await measure()).items()}
        report(*(f"{way}: {files} files, {functions} functions" for way, (files, functions) in passed.items()))
        too_long = {way: found for way, found in passed.items() if found[0] > MOST[way][0] or found[1] > MOST[way][1]}
        if not too_long:
            break
    assert not too_long
