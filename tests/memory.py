"""The folder in memory where tests make their state folders.

Kept apart because programs that tests start import it without pytest.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")
_ROOM = 2 * 2**30
"""Bytes; several times what all tests together leave behind."""


def memory_folder() -> Path | None:
    """The folder, or None where there is none or it is small, as in a container.

    What a process wrote outlives its kill there too. That it outlives a loss of power as well is shown by the order of
    the system calls, for which the kind of the disk does not matter.
    """
    if not os.access(_IN_MEMORY, os.W_OK) or shutil.disk_usage(_IN_MEMORY).free < _ROOM:
        return None
    return _IN_MEMORY
