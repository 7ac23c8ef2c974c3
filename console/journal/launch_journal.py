"""The journal of run ids received from the provider, on disk before the database has them.

A crash between the reply to a launch request and the database commit therefore loses no run. Kept apart because this
file is written first and read back, while `runs.log` is derived from the database.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path

from console.domain.run import RunId
from console.journal.append_file import AppendFile, Write
from console.journal.log_files import open_log, translate_os_error

_LINE = re.compile(rb'(run=([0-9a-z]+) attempt=\d+ remote=("(?:[^"\\]|\\.)*")) end=([0-9a-f]{8})\Z')


class LaunchJournal:
    """One line per received id: `run=01k… attempt=1 remote="…" end=5d1c09fe`. Use one instance per thread."""

    def __init__(self, path: Path, *, write: Write = os.write) -> None:
        self._file = AppendFile(path, durable=True, write=write)

    def append(self, run_id: RunId, attempt: int, remote_id: str) -> None:
        """Append an id; it is on disk when the call returns. Raises JournalError."""
        body = f"run={run_id} attempt={attempt} remote={json.dumps(remote_id, ensure_ascii=True)}".encode("ascii")
        self._file.append(body + b" end=%08x\n" % zlib.crc32(body))

    def read(self) -> dict[RunId, str]:
        """Return the remote id of every run, exactly as received. Torn and unknown lines are skipped.

        Raises JournalError.
        """
        try:
            file, _ = open_log(self._file.path)
            with file:
                content = file.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise translate_os_error(error, self._file.path) from error
        found: dict[RunId, str] = {}
        for line in content.split(b"\n"):
            match = _LINE.match(line)
            if match is not None and zlib.crc32(match[1]) == int(match[4], 16):
                found[RunId(match[2].decode("ascii"))] = json.loads(match[3])
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()
