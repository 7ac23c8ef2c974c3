"""How much of the program a reader passes on the way of a launch, and of a stop: it does not grow unseen."""

from __future__ import annotations

import pytest

from benchmarks.flow import measure
from tests.reporting import report

MOST = {"first launch of a process": (42, 223), "further launch": (43, 218), "stop": (39, 212)}
"""Files and functions. One file and a twentieth of the functions are to spare; more than that is a decision."""


@pytest.mark.proofs
async def test_a_launch_and_a_stop_pass_no_more_of_the_program_than_before() -> None:
    for way, called in (await measure()).items():
        files, functions = len(called), sum(map(len, called.values()))
        report(f"{way}: {files} files, {functions} functions")
        assert (files <= MOST[way][0], functions <= MOST[way][1]) == (True, True), f"{way}: {files}, {functions}"
