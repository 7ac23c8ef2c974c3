"""Which changes of the config, and of the files it names, a long-running process notices."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from console.app import engine_settings
from console.cli.config_watch import ConfigWatch
from console.config import Settings, load
from console.engine.engine import Engine
from console.engine.settings import EngineSettings, ProcessKind
from tests.config.files import CAPS, written

TASK = '[[tasks]]\nname = "report"\nprompt_file = "prompt.md"\n'


@dataclass
class FakeEngine:
    """What the watch needs of an engine: its settings and the problems reported."""

    settings: EngineSettings
    reported: list[str] = field(default_factory=list)
    cleared: int = 0

    @property
    def problems(self) -> FakeEngine:
        return self

    def report(self, topic: str, text: str, *, lasting: bool) -> None:
        assert (topic, lasting) == ("config file", True)
        self.reported.append(text)

    def clear(self, topic: str) -> None:
        self.cleared += 1

    def reload(self, settings: EngineSettings) -> None:
        self.settings = settings


class Watched:
    """A config in a folder, and a watch over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prompt = folder / "prompt.md"
        self.write_prompt("Write it.")
        self.path = written(folder, CAPS + TASK)
        settings = load(self.path)
        self.engine = FakeEngine(engine_settings(settings, ProcessKind.SERVE))
        self.reloads: list[Settings] = []
        self.watch = ConfigWatch(cast(Engine, self.engine), self.path, settings, self.reloads.append)

    def write_prompt(self, text: str) -> None:
        self.prompt.write_text(text, encoding="utf-8")
        self.prompt.chmod(0o600)

    def shown(self) -> str:
        """Return the prompt that is launched now."""
        return self.engine.settings.tasks[0].prompt


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def test_a_file_that_stays_as_it_is_is_not_loaded_anew(watched: Watched) -> None:
    await watched.watch.check()
    loaded = watched.engine.cleared
    await watched.watch.check()
    assert (watched.engine.cleared, watched.reloads, watched.engine.reported) == (loaded, [], [])


async def test_a_changed_prompt_file_is_loaded(watched: Watched) -> None:
    await watched.watch.check()
    watched.write_prompt("Write it again.")
    before = watched.engine.settings.fingerprint
    await watched.watch.check()
    assert (watched.shown(), len(watched.reloads)) == ("Write it again.", 1)
    assert watched.engine.settings.fingerprint != before, "others see who still launches the old prompt"


async def test_a_change_between_the_first_read_and_the_first_check_is_loaded(watched: Watched) -> None:
    watched.write_prompt("Write it again.")
    await watched.watch.check()
    assert watched.shown() == "Write it again."


async def test_a_change_that_keeps_size_and_time_is_loaded(watched: Watched) -> None:
    await watched.watch.check()
    before = watched.path.stat()
    watched.path.write_text(watched.path.read_text().replace("daily_runs = 100", "daily_runs = 101"))
    os.utime(watched.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (watched.path.stat().st_size, watched.path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    await watched.watch.check()
    assert watched.engine.settings.caps.daily_runs == 101


async def test_a_file_replaced_by_renaming_is_loaded(watched: Watched) -> None:
    await watched.watch.check()
    new = watched.folder / "new"
    new.write_text(watched.path.read_text().replace("daily_runs = 100", "daily_runs = 101"))
    new.chmod(0o600)
    new.replace(watched.path)
    await watched.watch.check()
    assert watched.engine.settings.caps.daily_runs == 101


@pytest.mark.parametrize("broken", ["config", "prompt"])
async def test_a_file_that_is_gone_for_a_while_is_told_once_and_loaded_when_it_is_back(
    watched: Watched, broken: str
) -> None:
    await watched.watch.check()
    path = watched.path if broken == "config" else watched.prompt
    aside = path.rename(path.with_suffix(".aside"))
    for _ in range(3):
        await watched.watch.check()
    (told,) = watched.engine.reported
    assert told.startswith("the config is not reloaded, the one of before stays in force: ")
    assert watched.shown() == "Write it."
    cleared = watched.engine.cleared
    aside.rename(path)
    await watched.watch.check()
    assert watched.engine.cleared == cleared + 1


async def test_a_prompt_file_that_appears_after_it_was_named_is_loaded(watched: Watched) -> None:
    await watched.watch.check()
    watched.path.write_text(watched.path.read_text().replace("prompt.md", "other.md"))
    await watched.watch.check()
    assert len(watched.engine.reported) == 1
    watched.prompt.rename(watched.folder / "other.md")
    await watched.watch.check()
    assert watched.reloads == [] or watched.shown() == "Write it."
    assert watched.engine.cleared > 1


@pytest.mark.parametrize(
    ("line", "word"), [('[store]\nstate_dir = "other"\n', "state_dir"), ('[provider]\nmodel = "m"\n', None)]
)
async def test_what_takes_a_restart(watched: Watched, line: str, word: str | None) -> None:
    watched.path.write_text(line + watched.path.read_text())
    await watched.watch.check()
    expected = [f"the config is not reloaded: {word} has changed, which takes a restart"] if word else []
    assert watched.engine.reported == expected
