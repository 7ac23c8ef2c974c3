"""What OpenAI Agents sessions are able to do.

Kept apart because the config and the engine read it without loading the HTTP library.
"""

from __future__ import annotations

from console.domain.server_limit import ServerLimitKind
from console.provider.traits import DiscardUse, Prepares, Traits, UsageReport

TRAITS = Traits(
    prepares=Prepares.SESSION,
    can_find_launch=True,
    start_repeats=True,
    discard=DiscardUse.AFTER_STOP,
    server_limit=ServerLimitKind.NONE,
    usage=UsageReport.BEST_EFFORT,
    tells_money=False,
    least_poll_ms=2_000,
)
