"""The ids that the provider gave, on disk before the database knows them: a crash in between forgets no run."""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path

from console.domain.run import RunId
from console.journal.append_file import AppendFile, Write
from console.journal.log_files import translate_os_error

_LINE = re.compile(rb'(run=([0-9a-z]+) attempt=\d+ remote=("(?:[^"\\]|\\.)*")) end=([0-9a-f]{8})\Z')


class LaunchJournal:
    """One line per id received: `run=01k… attempt=1 remote="…" end=5d1c09fe`. One instance per thread."""

    def __init__(self, path: Path, *, write: Write = os.write) -> None:
        self._file = AppendFile(path, durable=True, write=write)

    def append(self, run_id: RunId, attempt: int, remote_id: str) -> None:
        """The id is on disk when this returns. Raises JournalError."""
        body = f"run={run_id} attempt={attempt} remote={json.dumps(remote_id, ensure_ascii=True)}".encode("ascii")
        self._file.append(body + b" end=%08x\n" % zlib.crc32(body))

    def read(self) -> dict[RunId, str]:
        """The remote id of every run, exactly as it was given; torn and foreign lines are passed over."""
        try:
            content = self._file.path.read_bytes()
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
        """Lets go of the file."""
        self._file.close()
