"""The background supervisor is started here: one process per state folder that guards what others left, then ends.

It has its own session, so that no terminal takes it along, and inherits no descriptor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import console
from console.domain.run import Run, State
from console.engine.snapshot import Owner, Snapshot

# By path and with -P: a folder named `console` where somebody happens to stand is never taken for ours.
_BEGIN = "import sys; sys.path.append(sys.argv.pop(1)); from console.__main__ import main; main()"


def own_command(*words: str) -> list[str]:
    """The command line that runs this very program, from any folder and installed anywhere."""
    return [sys.executable, "-P", "-c", _BEGIN, str(Path(console.__file__).resolve().parent.parent), *words]


def start_guard(*, config: Path, folder: Path, environment: Mapping[str, str]) -> int:
    """Starts the background supervisor and returns its process id.

    Where one is at work already, the new one sees its lock and ends. Raises OSError.
    """
    command = own_command("--config", str(config), "--state-dir", str(folder), "guard")
    diag = os.open(folder / "diag.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, diag, 2),
        ]
        # Not subprocess: nobody waits for this process, and it is to outlive us.
        return os.posix_spawn(sys.executable, command, dict(environment), file_actions=actions, setsid=True)
    finally:
        os.close(diag)


def orphans(snapshot: Snapshot) -> tuple[Run, ...]:
    """The open runs that need a living process to see them to their end, and have none."""
    return tuple(run for run in snapshot.live if needs_a_guard(run) and guard_of(snapshot, run.owner) is None)


def needs_a_guard(run: Run) -> bool:
    """True while something can still be done for the run without a person.

    Of an unconfirmed one only its own sandbox can be deleted, at a stop or at its deadline.
    """
    if run.state is State.UNCONFIRMED:
        return run.sandbox_own and run.sandbox_id is not None and run.sandbox_deleted_ms is None
    return run.is_live


def guard_of(snapshot: Snapshot, owner_id: str | None) -> Owner | None:
    """The living process that guards a run, where one does."""
    owner = snapshot.owners.get(owner_id or "")
    return owner if owner is not None and owner.alive else None
