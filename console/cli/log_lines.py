"""runs.log on stdout: lines as they stand in the file, or as JSON; what is torn or missing is told on stderr."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from console.cli.exits import Exit
from console.domain.moment import iso_ms
from console.domain.record import LogRecord
from console.journal.reader import LogReader, follow

if TYPE_CHECKING:
    from console.cli.shell import Shell

Fits = Callable[[LogRecord], bool]

NUMBERS = frozenset({"attempt", "tokens", "cost", "hold"})
"""Fields that are numbers where they are known."""


def print_log(shell: Shell, *, follows: bool, last: int | None, fits: Fits) -> int:
    """What fits of the log, or of its last lines; with `follows` also what comes, until Ctrl-C."""
    reader = LogReader(shell.folder / "runs.log", last=last)
    try:
        if follows:
            asyncio.run(_follow(shell, reader, fits))
        else:
            _print_lines(shell, reader, fits)
    finally:
        reader.close()
    shell.say(*_complaints(reader))
    return Exit.OK


def _print_lines(shell: Shell, reader: LogReader, fits: Fits) -> None:
    """Line by line: a long log is never in memory whole, and a reader who leaves ends it at once."""
    fitting = (line for line in reader.read() if fits(line.record))
    if shell.json:
        with shell.out_json_array() as add:
            for line in fitting:
                add(record_json(line.record))
    else:
        for line in fitting:
            shell.stdout.write(f"{line.text}\n")
        shell.stdout.flush()


async def _follow(shell: Shell, reader: LogReader, fits: Fits) -> None:
    from console.cli.signals import leaving_on_signals

    async def print_lines() -> None:
        async for line in follow(reader):
            if not fits(line.record):
                continue
            if shell.json:
                shell.out_json_line(record_json(line.record))
            else:
                shell.out(line.text)

    with leaving_on_signals() as leaving:
        printing = asyncio.create_task(print_lines())
        asked = asyncio.create_task(leaving.wait())
        await asyncio.wait({printing, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        printing.cancel()
        with suppress(asyncio.CancelledError):
            await printing


def _complaints(reader: LogReader) -> Iterable[str]:
    if reader.foreign:
        yield f"{reader.foreign} torn or foreign lines were passed over"
    if reader.gaps:
        shown = ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in reader.gaps[:5])
        yield f"lines are missing (ev {shown}); `nightdesk log rebuild` writes the file anew"


def record_json(record: LogRecord) -> dict[str, object]:
    """One line as an object; `-` is null."""
    return {
        "ts": iso_ms(record.at_ms),
        "key": _value("key", record.key),
        "status": record.status,
        "elapsed": record.elapsed_ms / 1000,
        "units": record.units / 1000,
        **{name: _value(name, text) for name, text in record.fields.items()},
        "ev": record.ev,
    }


def _value(name: str, text: str) -> str | int | float | None:
    if text == "-":
        return None
    if name in NUMBERS:
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            return text
    return text
