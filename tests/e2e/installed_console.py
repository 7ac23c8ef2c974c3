"""The installed command on a terminal in tmux, against the simulator."""

from __future__ import annotations

import os
import re
from pathlib import Path

from console.domain.log_record import parse_line
from console.simulator.scenario import Ending, Scenario
from tests.e2e.tmux import Tmux

ENDLESS = Scenario(step_seconds=0.2, tokens_per_step=300, ending=Ending.NEVER)
TASKS = {
    "report": (Scenario(steps=3, step_seconds=0.1), 600, 50),
    "endless": (ENDLESS, 600, 50),
    "timed": (ENDLESS, 2, 50),
    "greedy": (Scenario(step_seconds=0.1, tokens_per_step=9_000, ending=Ending.NEVER), 600, 3),
}
COUNTDOWN = re.compile(r"endless.*?\b(\d+):(\d\d)\b")


class InstalledConsole:
    """The installed command on a terminal."""

    def __init__(self, folder: Path, nightdesk: Path, url: str) -> None:
        self.folder = folder
        self.nightdesk = str(nightdesk)
        tasks = "".join(
            f"[[tasks]]\nname = \"{name}\"\nprompt = '''{scenario.prompt('Go.')}'''\n"
            f"max_seconds = {seconds}\nbudget_units = {units}\n"
            for name, (scenario, seconds, units) in TASKS.items()
        )
        config = folder / "nightdesk.toml"
        config.touch(mode=0o600)
        caps = "[caps]\ndaily_units = 2000\nmonthly_units = 20000\ndaily_runs = 100\nconcurrent_runs = 8\n"
        config.write_text(f'[provider]\nbase_url = "{url}"\npoll_seconds = 0.2\n{caps}{tasks}', encoding="utf-8")
        environment = {
            **os.environ,
            "GEMINI_API_KEY": "canary",
            "NIGHTDESK_STATE_DIR": str(folder / "state"),
            "TERM": "xterm-256color",
            "PS1": "$ ",
        }
        self.terminal = Tmux(folder, environment=environment)

    def statuses(self) -> list[str]:
        """The status of every line of the log, notes (such as that of an overshoot) left out."""
        found = [parse_line(line).status for line in self.log().encode().splitlines()]
        return [status for status in found if status != "note"]

    def log(self) -> str:
        """The log; empty where there is none yet."""
        log = self.folder / "state" / "runs.log"
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def left_ms(self) -> int:
        """The time left in the row of the endless task, in milliseconds."""
        found = COUNTDOWN.search(self.terminal.screen())
        return (int(found[1]) * 60 + int(found[2])) * 1000 if found else 0
