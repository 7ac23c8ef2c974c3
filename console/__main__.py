"""`nightdesk`, and `python -m console`. What this process makes is for its owner's eyes, from its start on."""

from __future__ import annotations

import gc
import os
import sys
from types import TracebackType

AT_START = 400_000
"""New objects between two looks for garbage. Loading makes many and leaves none, and a tenth of it was such looks."""


def main() -> None:
    """Runs one command line and ends the process with its exit code."""
    os.umask(0o077)
    gc.set_threshold(AT_START)
    sys.excepthook = _told_without_values
    from console.cli.main import entry

    sys.exit(entry(sys.argv[1:]))


def _told_without_values(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    # The usual hook prints messages, and a message may hold a prompt or a key.
    from console.diag_log import crash_summary

    sys.stderr.write(f"nightdesk: {crash_summary(error)}\n")


if __name__ == "__main__":
    main()
