"""The kinds of services: what each is able to do, and the provider that talks to it.

Kept apart because it alone loads an adapter and with it the HTTP library, which most commands never need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from console.provider.contract import Provider, Traits
from console.provider.gemini import traits as gemini
from console.provider.http.secret import Secret

TRAITS: Mapping[str, Traits] = {"gemini": gemini.TRAITS}
"""What the provider of each kind is able to do."""


def make_provider(
    *,
    base_url: str,
    api_version: str,
    secret: Secret,
    proxy: str | None = None,
    ca_file: Path | None = None,
    hidden: Sequence[str] = (),
) -> Provider:
    """Return the client of the Gemini service at `base_url`; `hidden` are texts that no error message may quote."""
    from console.provider.gemini.adapter import GeminiProvider
    from console.provider.http.clients import Route

    return GeminiProvider(
        base_url=base_url,
        api_version=api_version,
        secret=secret,
        route=Route(proxy=proxy, ca_file=ca_file),
        hidden=hidden,
    )
