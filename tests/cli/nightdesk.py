"""Runs the real command against the simulator, in this process or, where that matters, in processes of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from console.cli.invocation import Invocation
from console.cli.main import run
from console.simulator.scenario import Ending, Scenario
from console.simulator.state import SimulatorState
from tests.cli.json_check import check, format_name
from tests.tree import ROOT

QUICK = Scenario(steps=2, step_seconds=0.05)
ENDLESS = Scenario(step_seconds=0.1, tokens_per_step=100, ending=Ending.NEVER)

TASKS = {
    "good": (QUICK, ""),
    "failing": (Scenario(steps=2, step_seconds=0.05, ending=Ending.FAILED), ""),
    "endless": (ENDLESS, ""),
    "timed": (ENDLESS, "max_seconds = 1"),
    "limited": (ENDLESS, "max_seconds = 8"),
    "greedy": (Scenario(steps=50, step_seconds=0.1, tokens_per_step=20_000), "budget_units = 5"),
    "rejected": (Scenario(faults=("create.400",)), ""),
    "lost": (Scenario(faults=("create.lost_reply",)), ""),
    "nightly": (QUICK, 'schedule = "0 3 * * *"'),
}
"""For each task: the behaviour of its agent, and its settings other than the prompt."""

CAPS = """\
[caps]
daily_units = 2000
monthly_units = 20000
daily_runs = 100
concurrent_runs = 8
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The output and exit code of a command that has ended."""

    code: int
    out: str
    err: str
    arguments: tuple[str, ...] = ()
    """Those of the command; empty where its output is not checked."""

    @property
    def json(self) -> Any:
        """Return stdout parsed as JSON; fail if it holds anything else, or is not as the command's format declares."""
        name = format_name(self.arguments)
        return json.loads(self.out) if name is None else check(name, self.out)


@dataclass(slots=True, kw_only=True)
class Nightdesk:
    """A config and a state folder, and the commands that run on them."""

    folder: Path
    url: str
    service: SimulatorState
    environment: dict[str, str] = field(default_factory=dict)
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = {**os.environ, "GEMINI_API_KEY": "canary-key", "PYTHONPATH": str(ROOT)}
        self.configure(CAPS)

    @property
    def state(self) -> Path:
        """Return the state folder."""
        return self.folder / "state"

    def configure(self, caps: str) -> None:
        """Write the config with these caps."""
        tasks = "".join(
            f"[[tasks]]\nname = \"{name}\"\nprompt = '''{scenario.prompt('Go.')}'''\n{more}\n"
            for name, (scenario, more) in TASKS.items()
        )
        path = self.folder / "nightdesk.toml"
        path.write_text(f'[provider]\nbase_url = "{self.url}"\npoll_seconds = 0.1\n{caps}{tasks}', encoding="utf-8")
        path.chmod(0o600)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command and return while it runs."""
        process = subprocess.Popen(
            [sys.executable, "-m", "console", "--state-dir", str(self.state), *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def ended(self, process: subprocess.Popen[str], *, within: float = 60) -> Done:
        """Wait for a started command to end."""
        out, err = process.communicate(timeout=within)
        return Done(code=process.returncode, out=out, err=err)

    def process(self, *arguments: str, **environment: str) -> Done:
        """Run a command to its end in a process of its own."""
        return replace(self.ended(self.start(*arguments, **environment)), arguments=arguments)

    def __call__(self, *arguments: str) -> Done:
        """Run a command to its end in this process: the same code, without the time to start an interpreter."""
        stdin, stdout, stderr = io.StringIO(), io.StringIO(), io.StringIO()
        invocation = Invocation(
            environment=self.environment, stdin=stdin, stdout=stdout, stderr=stderr, working=self.folder
        )
        code = run(["--state-dir", str(self.state), *arguments], invocation)
        return Done(code=code, out=stdout.getvalue(), err=stderr.getvalue(), arguments=arguments)

    def launch(self, task: str, *arguments: str) -> Done:
        """Launch a task as an operator, with JSON output."""
        return self("run", task, "--origin", "manual", "--json", *arguments)

    def live(self) -> list[dict[str, Any]]:
        """Return the runs that `ps` shows."""
        found: list[dict[str, Any]] = self("ps", "--json").json
        return found

    def close(self) -> None:
        """Kill the started processes and remove the state folder, which also ends a background supervisor."""
        for process in self._started:
            # Its streams are open also where it ended by itself and nobody waited for it.
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self.state, ignore_errors=True)
