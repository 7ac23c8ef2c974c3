"""How one simulated process reaches a service: which one it is configured for, and whether it has a key for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.simulation.service import Service


class Key(StrEnum):
    """The API key of a process."""

    USABLE = "usable"
    MISSING = "missing"
    """The program finds none; what it has read already it keeps."""
    REFUSED = "refused"
    """The service answers every call with 401."""


@dataclass(kw_only=True)
class Access:
    """The service and the key of one process. The key may come, go and be refused while the process lives.

    Kept apart because the machine and the worlds of two services both need it.
    """

    service: Service
    key: Key = Key.USABLE

    def __str__(self) -> str:
        return f"service {self.service.name}, key {self.key}"

    def key_trouble(self) -> str | None:
        """As `ProviderFactory.key_trouble`: why there is no usable key."""
        return "the environment variable KEY is not set" if self.key is Key.MISSING else None

    def require_key(self) -> None:
        """Raises ValueError where the program finds no key."""
        trouble = self.key_trouble()
        if trouble is not None:
            raise ValueError(trouble)
