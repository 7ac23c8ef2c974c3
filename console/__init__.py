"""Nightdesk: an operations console for unattended managed agents. The stop mechanism comes first."""

__version__ = "0.1.0"
