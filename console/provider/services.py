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


DIRECT, TRIGGER = "direct", "trigger"
"""How a run is launched: by a request of its own, or through a trigger of the service."""


def traits_of(kind: str, launch: str = DIRECT) -> Traits:
    """Return what the provider of that kind is able to do when runs are launched in that way."""
    return gemini.TRIGGER_TRAITS if kind == "gemini" and launch == TRIGGER else TRAITS[kind]


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
    launch: str = DIRECT,
) -> Provider:
    """Return the client of the service of that kind at `base_url`; `hidden` are texts that no error message may quote.

    `observe` is called with every exchange. `launch` is how runs are launched: DIRECT, or TRIGGER for gemini.

    Raises KeyError for a kind that is not in TRAITS.
    """
    from console.provider.http.clients import Route

    route = Route(proxy=proxy, ca_file=ca_file, observe=observe)
    match kind:
        case "gemini":
            from console.provider.gemini.adapter import GeminiProvider

            direct = GeminiProvider(
                base_url=base_url, api_version=api_version, secret=secret, route=route, hidden=hidden
            )
            if launch != TRIGGER:
                return direct
            from console.provider.gemini.trigger import TriggerProvider

            return TriggerProvider(direct)
        case "anthropic":
            from console.provider.anthropic.adapter import AnthropicProvider

            return AnthropicProvider(base_url=base_url, secret=secret, route=route, hidden=hidden)
        case "openai":
            from console.provider.openai.adapter import OpenAIProvider

            return OpenAIProvider(base_url=base_url, secret=secret, route=route, hidden=hidden)
        case _:
            raise KeyError(kind)
