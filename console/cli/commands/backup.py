"""`backup` and `restore`: a copy of the state folder at one moment, and the way back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import click

from console.cli.commands.log import rebuild_log
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation, refuse_in_fleet
from console.domain.formatting import counted
from console.domain.text import os_error_text, sanitize
from console.domain.timestamps import iso_ms
from console.engine.clock import SystemClock
from console.engine.kernel_locks import KernelLocks
from console.store.backup import BackupFacts, copy_out, put_back
from console.store.errors import StoreError
from console.trusted_files import Unreadable, read_bounded

MANIFEST = "backup.json"
"""Written last: a folder without it is no complete backup."""
VERSION = 1
JOURNAL = "launch.journal"
MOST_BYTES = 1 << 20


@click.command("backup")
@click.argument("target", metavar="DIR")
@json_option
@pass_invocation
def backup_command(invocation: Invocation, target: str) -> int:
    """Copy the state folder to a new folder, while processes use it.

    The copy is that of one moment. It holds keys, runs and the fingerprints of prompts, no API key and no config.
    runs.log is not copied: `restore` writes it anew.
    """
    refuse_in_fleet(invocation, "backup")
    folder, path = invocation.folder, _path(invocation, target)
    made = not path.exists()
    try:
        facts = copy_out(folder, path)
        journal = folder / JOURNAL
        if journal.exists():
            # After the database: what it names beyond it is looked up at the service, and never launched.
            _copy_private(journal, path / JOURNAL)
        _write_private(path / MANIFEST, json.dumps(_manifest(facts, folder), indent=2) + "\n")
    except FileExistsError:
        raise CommandError(ExitCode.USAGE, f"{_shown(path)} is not empty; name a new folder") from None
    except (OSError, StoreError) as error:
        if made:
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, StoreError):
            raise
        raise CommandError(ExitCode.STORE, f"the backup failed: {os_error_text(error)}") from None
    if invocation.json:
        invocation.out_json({"backup": str(path), **_manifest(facts, folder)})
    else:
        invocation.say(f"copied {_held(facts)} to {_shown(path)}")
    return ExitCode.OK


@click.command("restore")
@click.argument("source", metavar="DIR")
@json_option
@pass_invocation
def restore_command(invocation: Invocation, source: str) -> int:
    """Put a backup back; nothing is launched until `doctor --reconcile`.

    No process may use the state folder meanwhile. What is there is kept in a folder `before-restore-…` in it. Nothing
    is launched until you have compared the restored runs with the service and run `nightdesk doctor --reconcile`: keys
    that were taken after the backup are forgotten, unless runs.log is still there.
    """
    refuse_in_fleet(invocation, "restore")
    folder, path = invocation.folder, _path(invocation, source)
    at = _read_manifest(path)
    refuse_in_use(folder)
    aside = folder / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        facts = put_back(path, folder, aside=aside)
        if not (folder / JOURNAL).exists() and (path / JOURNAL).exists():
            _copy_private(path / JOURNAL, folder / JOURNAL)
    except OSError as error:
        raise CommandError(ExitCode.STORE, f"the restore failed: {os_error_text(error)}; run it again") from None
    if not (folder / "runs.log").exists():
        asyncio.run(rebuild_log(folder))
    kept = aside if aside.exists() else None
    if invocation.json:
        invocation.out_json(
            {
                "restored": str(path),
                "kept": str(kept) if kept else None,
                "at": at,
                "runs": facts.runs,
                "open_runs": facts.open_runs,
            }
        )
    else:
        invocation.say(f"restored {_held(facts)}, as of {at}")
        invocation.say(*([f"what was here is in {_shown(kept)}"] if kept else []))
        invocation.say(
            "Nothing is launched yet. Look at `nightdesk ps` and at the service for what happened since,",
            "and run `nightdesk doctor --reconcile` when only this folder is in use.",
        )
    return ExitCode.OK


def _path(invocation: Invocation, text: str) -> Path:
    try:
        return invocation.working / Path(text).expanduser()
    except RuntimeError:
        message = f"{sanitize(text, limit=200)!r} names a home folder that is not known; give a full path"
        raise CommandError(ExitCode.USAGE, message) from None


def _manifest(facts: BackupFacts, folder: Path) -> dict[str, object]:
    return {
        "version": VERSION,
        "at": iso_ms(SystemClock().now().wall_ms),
        "state_dir": str(folder),
        "runs": facts.runs,
        "open_runs": facts.open_runs,
        "last_ev": facts.last_ev,
    }


def _read_manifest(path: Path) -> str:
    """When the backup was made, sanitized. Raises CommandError for a folder that is no complete backup."""
    try:
        found = json.loads(read_bounded(path / MANIFEST, most=MOST_BYTES))
    except Unreadable as error:
        raise CommandError(
            ExitCode.USAGE,
            f"{_shown(path)} is no complete backup: {MANIFEST} {error}; `nightdesk backup DIR` makes one",
        ) from None
    except (ValueError, RecursionError):
        raise CommandError(ExitCode.USAGE, f"{_shown(path)}: {MANIFEST} is damaged") from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise CommandError(ExitCode.USAGE, f"{_shown(path)}: the backup was made by another version of nightdesk")
    return sanitize(str(found.get("at")), limit=40)


def refuse_in_use(folder: Path) -> None:
    """Raise CommandError while a process supervises runs on the state folder."""
    if alive := KernelLocks(folder).held_locks():
        raise CommandError(
            ExitCode.REFUSED,
            f"{_processes(alive)} of nightdesk on this state folder; end every console, `serve` "
            "and background supervisor first: `nightdesk doctor` lists them",
        )


def _processes(count: int) -> str:
    return "there is a process" if count == 1 else f"there are {count} processes"


def _held(facts: BackupFacts) -> str:
    return f"{counted(facts.runs, 'run')}, {facts.open_runs} of them open"


def _shown(path: Path) -> str:
    return sanitize(str(path), limit=300)


def _copy_private(source: Path, target: Path) -> None:
    """Copy a file (mode 0600) and wait for the disk. Raises OSError."""
    with source.open("rb") as reading, open(_create(target), "wb") as writing:
        shutil.copyfileobj(reading, writing)
        writing.flush()
        os.fsync(writing.fileno())


def _write_private(path: Path, text: str) -> None:
    with open(_create(path), "w", encoding="utf-8") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
