"""`nightdesk` and `python -m console`: prepares the process, then runs one command line."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress

from console.start_up import defer_collection, shorten_turns

INTERNAL_ERROR = 70
INTERRUPTED = 130
MOST_FILES = 65_536
"""Descriptors that a process needs at most."""


def main() -> None:
    """Run one command line and end the process with its exit code, which is 1 only if the agent failed."""
    code = INTERNAL_ERROR
    try:
        _open_missing_streams()
        os.umask(0o077)
        # A core file would hold the API key and the prompts.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _allow_many_files()
        defer_collection()
        shorten_turns()
        from console.cli.main import entry

        code = entry(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        _report_crash(error)
    if sys.flags.inspect:
        # With PYTHONINSPECT the interpreter would report the exit as an error, open a prompt and end with 1.
        os._exit(code)
    sys.exit(code)


def _open_missing_streams() -> None:
    """Open /dev/null for each standard stream that is closed, so that no file of ours takes its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
    # None where the stream was closed when Python started, whatever the types say.
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False, encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False, encoding="utf-8")


def _allow_many_files() -> None:
    """Use as many descriptors as the system allows: each live run has a connection, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _report_crash(error: Exception) -> None:
    # Not the usual traceback: it prints messages, and a message may hold a prompt or a key.
    with suppress(OSError):
        from console.diag_log import crash_summary

        os.write(2, f"nightdesk: {crash_summary(error)}\n".encode())


if __name__ == "__main__":
    main()
