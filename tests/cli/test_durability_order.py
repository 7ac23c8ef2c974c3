"""By the system calls of a launch, the intent is on disk before the first byte of the POST; see strace(1)."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.tools import need_strace

CALLS = "fdatasync,fsync,pwrite64,unlink,sendto"
LAUNCH = '"POST /v1beta/interactions HTTP'
WAYS = {
    "its rows were not flushed": r"fdatasync\(.*nightdesk\.db>",
    "its commit was not flushed": r"f(data)?sync\(.*/state>",
    "its commit was not made": r'unlink\(.*nightdesk\.db-journal"',
}
"""The steps that must precede a launch, and the system calls that perform them."""


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    need_strace()


def _too_early(trace: Iterable[str]) -> list[str]:
    """Return what was missing at each launch in the trace since the last write of the database, or "nothing"."""
    missing: set[str] = set()
    found = []
    for line in trace:
        call = line.split(maxsplit=1)[1]
        if re.match(r"pwrite64\(.*nightdesk\.db>", call):
            missing = set(WAYS)
        elif call.startswith("sendto(") and LAUNCH in call:
            found += [", ".join(sorted(missing)) or "nothing"]
        else:
            missing -= {way for way, pattern in WAYS.items() if re.match(pattern, call)}
    return found


def _trace(nightdesk: Nightdesk) -> list[str]:
    """Return the system calls of the process of one launch, in order."""
    told = nightdesk.folder / "trace"
    strace = ["strace", "-f", "-y", "-s", "60", "-o", str(told), "-e", f"trace={CALLS}"]
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "run", "good"]
    ran = subprocess.run(
        [*strace, *command, "--origin", "manual"],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return [line for line in told.read_text(errors="replace").splitlines() if "resumed>" not in line]


def test_no_launch_is_sent_before_its_intent_is_on_disk(nightdesk: Nightdesk) -> None:
    trace = _trace(nightdesk)
    assert _too_early(trace) == ["nothing"]
    for way, pattern in WAYS.items():
        without = [line for line in trace if not re.match(pattern, line.split(maxsplit=1)[1])]
        assert _too_early(without) == [way], "the check does not detect the missing call"
