"""Compare the cost of totalling a long log with mawk: `python -m benchmarks.log_read [LINES]`.

Every figure is the CPU time of a separate process, the best of several alternating rounds, because other load lengthens
the rest. mawk totals by day, task, stage, outcome and currency and keeps the open holds, as the console does: once by
the names of the fields, as a person would write it, and once by their columns, which is faster and wrong as soon as a
value is quoted. Unlike the console, it checks no checksum and notices no repeated line.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from console.domain.log_record import LogRecord, format_line
from console.domain.run import new_run_id
from console.domain.usage_stats import sum_totals
from console.journal.aggregate import UsageLog

ROOT = Path(__file__).resolve().parent.parent
LINES = 1_000_000
ROUNDS = 3
SEED = 20_261_123
YEAR_MS = 365 * 86_400_000
END_MS = 1_795_435_200_000

BY_NAME = r"""
function after(name,  at) {
    at = index(rest, name); if (!at) return "-"
    rest = substr(rest, at + length(name)); return substr(rest, 1, index(rest, " ") - 1)
}
{
    rest = $0; status = after(" status="); elapsed = after(" elapsed="); units = after(" units=")
    if (status == "note") next
    task = after(" task="); run = after(" run="); stage = after(" stage="); day = after(" day=")
    cost = after(" cost="); currency = after(" currency=")
    if (status == "launched") { holds[run] = $0; next }
    cell = day " " task " " stage " " status
    runs[cell]++; used[cell] += units; seconds[cell] += elapsed
    if (cost != "-") money[cell " " currency] += cost
    delete holds[run]
}
END { for (cell in runs) total += used[cell]; printf "%.3f\n", total }
"""
BY_COLUMN = r"""
$3 == "status=note" { next }
$3 == "status=launched" { holds[$7] = $0; next }
{
    cell = $12 " " $6 " " $9 " " $3
    runs[cell]++; used[cell] += substr($5, 7); seconds[cell] += substr($4, 9)
    cost = substr($14, 6); if (cost != "-") money[cell " " $15] += cost
    delete holds[$7]
}
END { for (cell in runs) total += used[cell]; printf "%.3f\n", total }
"""
UNITS_ONLY = r"""
{
    match($0, / units=[^ ]*/); units = substr($0, RSTART + 7, RLENGTH - 7)
    match($0, / task=[^ ]*/); task = substr($0, RSTART + 6, RLENGTH - 6)
    match($0, / day=[^ ]*/); day = substr($0, RSTART + 5, RLENGTH - 5)
    used[day " " task] += units
}
END { for (cell in used) total += used[cell]; printf "%.3f\n", total }
"""


def records(lines: int, *, after: int = 0) -> Iterator[LogRecord]:
    """Yield a year of 20 tasks, numbered after `after`: launches, endings, 3 % skips, 1 % notes with a quoted value."""
    source = random.Random(SEED)
    tasks = [(f"nightly-report-{number}", source.choice(["manual", "semi", "unattended"])) for number in range(20)]
    ev = after
    while ev < after + lines:
        at_ms = END_MS - YEAR_MS + YEAR_MS * (ev - after) // lines
        task, stage = source.choice(tasks)
        run = new_run_id(at_ms, source.randbytes(10))
        day = f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"
        common = {
            "task": task,
            "run": run,
            "attempt": "1",
            "stage": stage,
            "origin": "schedule",
            "reason": "-",
            "day": day,
        }
        untold = {**common, "tokens": "0", "cost": "-", "currency": "-"}
        key, luck = source.randbytes(8).hex(), source.random()
        ev += 1
        if luck < 0.01:
            yield LogRecord(ev=ev, at_ms=at_ms, key=key, status="note", fields={"event": "stall", "why": "no new step"})
        elif luck < 0.04:
            yield LogRecord(ev=ev, at_ms=at_ms, key=key, status="skipped", fields={**untold, "reason": "running"})
        else:
            launched = {**untold, "hold": "50.0", "remote": f"v1_{source.randbytes(16).hex()}"}
            yield LogRecord(ev=ev, at_ms=at_ms, key=key, status="launched", fields=launched)
            ev += 1
            status, tokens = source.choice(["ok"] * 8 + ["failed", "timeout"]), source.randrange(10**6)
            money = {"cost": f"{tokens * 24 / 10**7:.6f}", "currency": "USD", "hold": "50.0"}
            fields = {**common, "tokens": str(tokens), **money}
            elapsed_ms = source.randrange(10**6)
            yield LogRecord(
                ev=ev, at_ms=at_ms, key=key, status=status, elapsed_ms=elapsed_ms, units=tokens // 10, fields=fields
            )


def cpu_seconds(*command: str) -> tuple[float, str]:
    """Return the CPU time of a process and its output."""
    before = os.times()
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    after = os.times()
    children = after.children_user - before.children_user + after.children_system - before.children_system
    return children, output.strip()


def compare(log: Path) -> None:
    """Print seconds and ratios. Raises ValueError if the totals differ."""
    commands: dict[str, tuple[str, ...]] = {
        "nightdesk": (sys.executable, "-m", "benchmarks.log_read", "--sum", str(log))
    }
    mawk = shutil.which("mawk")
    if mawk:
        scripts = {"mawk, by name": BY_NAME, "mawk, by column": BY_COLUMN, "mawk, only units by task": UNITS_ONLY}
        commands |= {name: (mawk, script, str(log)) for name, script in scripts.items()}
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        sums = set()
        for name, command in commands.items():
            took, output = cpu_seconds(*command)
            best[name] = min(took, best.get(name, took))
            sums.add(output)
        if len(sums) != 1:
            raise ValueError(f"the totals differ: {sums}")
    for name, took in best.items():
        print(f"{name:26} {took:6.2f} s CPU   nightdesk takes {best['nightdesk'] / took:5.2f} times as long")
    if not mawk:
        print("no comparison: mawk is not installed (apt install mawk)")


def refresh(log: Path) -> None:
    """Print what a refresh costs after the log was read once."""
    with UsageLog(log) as usage:
        usage.refresh()
        ev = 10 * LINES
        for added in (0, 1, 1000, 100_000):
            with log.open("ab") as file:
                file.writelines(format_line(record) for record in records(added, after=ev))
            ev += 2 * added
            started = time.perf_counter()
            usage.refresh()
            print(f"refresh after {added:7,} new lines {(time.perf_counter() - started) * 1000:8.3f} ms")


def main(arguments: list[str]) -> None:
    """Create a log and compare; with `--sum FILE` be the measured process."""
    if arguments[:1] == ["--sum"]:
        with UsageLog(Path(arguments[1])) as usage:
            print(f"{sum_totals(usage.refresh().buckets()).units / 1000:.3f}")
        return
    lines = int(arguments[0]) if arguments else LINES
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "runs.log"
        with log.open("wb") as file:
            file.writelines(format_line(record) for record in records(lines))
        print(f"{lines:,} lines, {log.stat().st_size / 1e6:.0f} MB")
        compare(log)
        refresh(log)


if __name__ == "__main__":
    main(sys.argv[1:])
