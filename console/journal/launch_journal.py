"""The journal of run ids received from the provider, on disk before the database has them.

A crash between the reply to a launch request and the database commit therefore loses no run. On a host of a fleet the
intent to launch stands in it too, before the request leaves: if the database ever loses a launch that it has
acknowledged, this file shows it.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from console.domain.run import Run, RunId
from console.journal.append_file import AppendFile, Write
from console.journal.log_files import open_log, translate_os_error

_INTENT = re.compile(
    rb'(sending run=([0-9a-z]+) key=([0-9a-f]{16}) task=("(?:[^"\\]|\\.)*") day=(\d{4}-\d\d-\d\d) hold=(\d+) '
    rb"attempt=(\d+) row=(\"(?:[^\"\\]|\\.)*\")) end=([0-9a-f]{8})\Z"
)
_LINE = re.compile(rb'(run=([0-9a-z]+) attempt=\d+ remote=("(?:[^"\\]|\\.)*")) end=([0-9a-f]{8})\Z')


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchIntent:
    """What is known of a launch before its request leaves."""

    run_id: RunId
    key: str
    task: str
    day: str
    """The day on which it counts against the caps."""
    hold: int
    """Milli-units."""
    attempt: int
    row: str
    """The run as the database had it, in JSON: it can be put back from here."""
    sends: int = 1
    """How often it was about to be sent by this host."""

    @classmethod
    def of(cls, run: Run, row: str) -> LaunchIntent:
        """The intent to launch `run`."""
        hold, attempt = run.limits.budget, run.attempt
        return cls(run_id=run.id, key=run.key, task=run.task, day=run.day, hold=hold, attempt=attempt, row=row)


class LaunchJournal:
    """One line per received id: `run=01k… attempt=1 remote="…" end=5d1c09fe`, and in a fleet one per intent.

    Use one instance per thread.
    """

    def __init__(self, path: Path, *, write: Write = os.write) -> None:
        self._file = AppendFile(path, durable=True, write=write)

    def append(self, run_id: RunId, attempt: int, remote_id: str) -> None:
        """Append an id; it is on disk when the call returns. Raises JournalError."""
        self._append(f"run={run_id} attempt={attempt} remote={json.dumps(remote_id, ensure_ascii=True)}")

    def append_intent(self, intent: LaunchIntent) -> None:
        """Append that a request is about to leave; it is on disk when the call returns. Raises JournalError."""
        self._append(
            f"sending run={intent.run_id} key={intent.key} task={json.dumps(intent.task, ensure_ascii=True)} "
            f"day={intent.day} hold={intent.hold} attempt={intent.attempt} "
            f"row={json.dumps(intent.row, ensure_ascii=True)}"
        )

    def read(self) -> dict[RunId, str]:
        """Return the remote id of every run, exactly as received. Torn and unknown lines are skipped.

        Raises JournalError.
        """
        found: dict[RunId, str] = {}
        for line in self._lines():
            match = _LINE.match(line)
            if match is not None and zlib.crc32(match[1]) == int(match[4], 16):
                found[RunId(match[2].decode("ascii"))] = json.loads(match[3])
        return found

    def read_intents(self) -> dict[RunId, LaunchIntent]:
        """Return the last intent of every run. Torn and unknown lines are skipped. Raises JournalError."""
        found: dict[RunId, LaunchIntent] = {}
        for line in self._lines():
            match = _INTENT.match(line)
            if match is not None and zlib.crc32(match[1]) == int(match[9], 16):
                run_id, key, day = (match[number].decode("ascii") for number in (2, 3, 5))
                before = found.get(RunId(run_id))
                found[RunId(run_id)] = LaunchIntent(
                    run_id=RunId(run_id),
                    key=key,
                    task=json.loads(match[4]),
                    day=day,
                    hold=int(match[6]),
                    attempt=int(match[7]),
                    row=json.loads(match[8]),
                    sends=1 if before is None else before.sends + 1,
                )
        return found

    def _append(self, text: str) -> None:
        body = text.encode("ascii")
        self._file.append(body + b" end=%08x\n" % zlib.crc32(body))

    def _lines(self) -> list[bytes]:
        try:
            file, _ = open_log(self._file.path)
            with file:
                return file.read().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise translate_os_error(error, self._file.path) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
