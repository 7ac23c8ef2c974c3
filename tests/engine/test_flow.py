"""How much of the program a reader passes on the way of a launch, and of a stop: it does not grow unseen."""

from __future__ import annotations

import pytest

from benchmarks.flow import measure
from tests.reporting import report

MOST = {"first launch of a process": (41, 202), "further launch": (42, 198), "stop": (38, 199)}
"""Files and functions. The ways of a stop differ by how the answers of store and provider meet."""


@pytest.mark.proofs
async def test_a_launch_and_a_stop_pass_no_more_of_the_program_than_before() -> None:
    for way, called in (await measure()).items():
        files, functions = len(called), sum(map(len, called.values()))
        report(f"{way}: {files} files, {functions} functions")
        assert (files <= MOST[way][0], functions <= MOST[way][1]) == (True, True), f"{way}: {files}, {functions}"
