"""Load nightdesk.toml into frozen settings, or report every error with file, line, key and what is accepted."""

from console.config.errors import ConfigError
from console.config.load import load
from console.config.settings import ConsoleSettings, KeySource, ProviderSettings, Settings, StoreSettings

__all__ = ["ConfigError", "ConsoleSettings", "KeySource", "ProviderSettings", "Settings", "StoreSettings", "load"]
