"""Sends one message with apprise: `{"urls": […], "title": …, "body": …}` on standard input. Run as a script.

Exit: 0 sent, 1 not taken by one of the services, 2 an address that apprise does not know. Kept apart because it runs
in a process of its own, without the rest of the program.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


def main() -> int:
    """Send the message and return the exit code."""
    import apprise

    # It logs addresses.
    logging.disable(logging.CRITICAL)
    order: dict[str, Any] = json.load(sys.stdin)
    services = apprise.Apprise()
    if not all([services.add(url) for url in order["urls"]]):
        return 2
    return 0 if services.notify(title=order["title"], body=order["body"], body_format="text") else 1


if __name__ == "__main__":
    sys.exit(main())
