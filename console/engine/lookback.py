"""What one asks and gets when looking back at runs; the values are the store's, and this is their door upwards."""

from __future__ import annotations

from console.store.history import HistoryFilter, KeyStanding, KeyState, Page, Place

__all__ = ["HistoryFilter", "KeyStanding", "KeyState", "Page", "Place"]
