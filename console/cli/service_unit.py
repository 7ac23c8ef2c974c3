"""The systemd user unit of `nightdesk serve`, its environment file, and the `systemctl` that knows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.domain.text import sanitize

MARK = "# Written by `nightdesk service install`; `nightdesk service remove` removes it."
"""The first line of a unit file of ours; no other one is replaced or removed."""
WITHIN_S = 30.0
ALIVE = frozenset({"running", "degraded", "starting", "initializing", "maintenance"})
"""What `systemctl --user is-system-running` says where there is a manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFiles:
    """Where the files of one service are."""

    name: str
    """`nightdesk.service`."""
    unit: Path
    environment: Path
    """The file with the API keys, mode 0600."""

    @classmethod
    def of(cls, ledger: str | None, environment: Mapping[str, str]) -> UnitFiles:
        """The files of the service of a ledger: one with a name has a service of its own."""
        home = Path(environment.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
        name = f"nightdesk-{ledger}" if ledger else "nightdesk"
        return cls(
            name=f"{name}.service",
            unit=home / "systemd" / "user" / f"{name}.service",
            environment=home / "nightdesk" / f"{name}.env",
        )


def unit_text(words: Sequence[str], environment_file: Path) -> str:
    """The unit file of a `serve` that is started by `words`."""
    return f"""{MARK}
[Unit]
Description=Nightdesk scheduler and supervisor

[Service]
Type=notify
WatchdogSec=120
ExecStart={" ".join(map(_quoted, words))}
ExecReload=/bin/kill -HUP $MAINPID
EnvironmentFile=-{str(environment_file).replace("%", "%%")}
Restart=always
RestartSec=2
# SIGTERM hands the runs over and exits within 10 s; a restart cancels nothing.
TimeoutStopSec=15
KillMode=mixed
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy=default.target
"""


def _quoted(word: str) -> str:
    """A word of ExecStart, so that systemd changes nothing in it (systemd.service(5), COMMAND LINES)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[^A-Za-z0-9_./:=@%+,-]", word) else escaped


def environment_text(names: Sequence[str]) -> str:
    """A new environment file: a line to fill in for each variable that the config names."""
    lines = "".join(f"# {name}=\n" for name in names)
    return f"# The environment of nightdesk serve; systemd reads it, nobody else can. Take the # away:\n{lines}"


def missing_variables(path: Path, names: Sequence[str]) -> list[str]:
    """Those of `names` that the environment file does not set. Raises OSError."""
    text = path.read_text(encoding="utf-8", errors="replace")
    given = {found[1] for found in re.finditer(r"^[ \t]*([A-Z_][A-Z0-9_]*)[ \t]*=[ \t]*\S", text, re.MULTILINE)}
    return [name for name in names if name not in given]


def write_new(path: Path, text: str, *, replace: bool) -> bool:
    """Write a file (mode 0600), with its folders. Without `replace` one that is there stays: False. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and not replace:
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
    return True


def is_ours(unit: Path) -> bool:
    """True for a unit file that `service install` wrote, or for none. Raises OSError."""
    return not unit.exists() or unit.read_text(encoding="utf-8", errors="replace").startswith(MARK)


class NoManager(Exception):
    """There is no systemd for this user. `str()` says why, in one sanitized line."""


class Systemctl:
    """The user's systemd manager, by its command."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def require(self) -> None:
        """Raise NoManager without a manager of this user."""
        if shutil.which("systemctl", path=self._environment.get("PATH", "")) is None:
            raise NoManager("there is no systemctl here")
        code, said = self.run("is-system-running")
        if said.split("\n", 1)[0].strip() not in ALIVE:
            raise NoManager(sanitize(said.strip(), limit=200) or f"systemctl ended with {code}")

    def run(self, *words: str) -> tuple[int, str]:
        """Run `systemctl --user WORDS` and return its exit code and all it said. Raises NoManager."""
        try:
            done = subprocess.run(
                ["systemctl", "--user", "--no-pager", *words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=WITHIN_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoManager(f"systemctl does not answer: {type(error).__name__}") from None
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def show(self, name: str) -> dict[str, str]:
        """The state of a unit, by property. Raises NoManager."""
        _, said = self.run("show", name, "--property=LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts")
        pairs = (line.partition("=") for line in said.splitlines())
        return {key: sanitize(value, limit=80) for key, _, value in pairs if key}
