"""What the Gemini Interactions API is able to do.

Kept apart because the config and the engine read it without loading the HTTP library.
"""

from __future__ import annotations

from dataclasses import replace

from console.domain.server_limit import ServerLimitKind
from console.provider.traits import DiscardUse, Prepares, Traits, UsageReport

TRAITS = Traits(
    prepares=Prepares.SANDBOX,
    can_find_launch=False,
    start_repeats=False,
    discard=DiscardUse.MAY_STOP,
    server_limit=ServerLimitKind.TOKENS,
    usage=UsageReport.LIVE,
    tells_money=False,
    least_poll_ms=1_000,
)
TRIGGER_TRAITS = replace(TRAITS, can_find_launch=True)
"""Of launches through a trigger: the executions of a trigger can be listed."""
