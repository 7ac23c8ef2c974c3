"""The kinds of services: what each is able to do, and the provider that talks to it.

Kept apart because it alone loads an adapter and with it the HTTP library, which most commands never need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.provider.anthropic import traits as anthropic
from console.provider.gemini import traits as gemini
from console.provider.openai import traits as openai
from console.provider.traits import Traits

if TYPE_CHECKING:
    from console.provider.contract import Provider
    from console.provider.http.observation import Observe
    from console.provider.http.secret import Secret

TRAITS: Mapping[str, Traits] = {
    "gemini": gemini.TRAITS,
    "anthropic": anthropic.TRAITS,
    "openai": openai.TRAITS,
}
"""What the provider of each kind is able to do."""


def make_provider(
    *,
    kind: str,
    base_url: str,
    api_version: str,
    secret: Secret,
    proxy: str | None = None,
    ca_file: Path | None = None,
    hidden: Sequence[str] = (),
    observe: Observe | None = None,
) -> Provider:
    """Return the client of the service of that kind at `base_url`; `hidden` are texts that no error message may quote.

    `observe` is called with every exchange.

    Raises KeyError for a kind that is not in TRAITS.
    """
    from console.provider.http.clients import Route

    route = Route(proxy=proxy, ca_file=ca_file, observe=observe)
    match kind:
        case "gemini":
            from console.provider.gemini.adapter import GeminiProvider

            return GeminiProvider(base_url=base_url, api_version=api_version, secret=secret, route=route, hidden=hidden)
        case "anthropic":
            from console.provider.anthropic.adapter import AnthropicProvider

            return AnthropicProvider(base_url=base_url, secret=secret, route=route, hidden=hidden)
        case "openai":
            from console.provider.openai.adapter import OpenAIProvider

            return OpenAIProvider(base_url=base_url, secret=secret, route=route, hidden=hidden)
        case _:
            raise KeyError(kind)
