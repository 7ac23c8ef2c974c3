"""nightdesk.toml becomes frozen settings, or an error that names file, key and what would be accepted."""

from console.config.errors import ConfigError
from console.config.load import load
from console.config.settings import ConsoleSettings, KeySource, ProviderSettings, Settings

__all__ = ["ConfigError", "ConsoleSettings", "KeySource", "ProviderSettings", "Settings", "load"]
