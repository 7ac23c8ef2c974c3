"""The demo's config file has the settings of the demo, so commands in another terminal can use it."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from console.app import engine_settings, service_settings
from console.config import load
from console.demo.config_file import write_config
from console.demo.tasks import demo_settings
from console.engine.settings import ProcessKind
from console.program import shell_command
from console.simulated import SIMULATED


@pytest.mark.parametrize("kind", SIMULATED)
def test_the_config_file_has_the_settings_of_the_demo(tmp_path: Path, kind: str) -> None:
    config = write_config(tmp_path, demo_settings(kind=kind), "http://127.0.0.1:4711")
    settings = load(config)
    provider = settings.providers["default"]
    services = (service_settings(provider),)
    assert engine_settings(settings, ProcessKind.CONSOLE) == replace(demo_settings(kind=kind), services=services)
    assert provider.base_url == "http://127.0.0.1:4711"
    assert provider.api_key.file == tmp_path / "key"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_the_printed_command_is_found_by_a_shell(tmp_path: Path) -> None:
    assert shell_command({"PATH": str(tmp_path)})[0] != "nightdesk"
    assert Path(shell_command({})[0]).is_absolute()
    (tmp_path / "nightdesk").touch(mode=0o755)
    assert shell_command({"PATH": str(tmp_path)}) == ("nightdesk",)
