"""Every read and write of a run, in one name. The parts follow a run's way: found, sent, followed, stopped, settled."""

from __future__ import annotations

from console.store.settlement import Settlement


class Runs(Settlement):
    """Each write is compare-and-set on what the caller believes, and one transaction: state, books, timeline, log."""
