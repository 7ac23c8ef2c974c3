"""`rehearse` lets each guard fire for the tasks of a config, and needs neither a key, a network nor a state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.config import load
from console.domain.caps import Caps
from console.drill.rehearsal import CHECKS, Rehearsed, rehearse, room_for
from tests.cli.nightdesk import Nightdesk

CONFIG = """\
[provider]
base_url = "http://127.0.0.1:9"
api_key_env = "NO_SUCH_KEY"
{provider}
[caps]
daily_units = {daily_units}
monthly_units = "unlimited"
daily_runs = 100
concurrent_runs = {concurrent_runs}
[[tasks]]
name = "nightly"
prompt = "Write the nightly report."
max_seconds = 900
budget_units = 80
schedule = "0 3 * * *"
{task}
"""


def _write(folder: Path, *, provider: str = "", task: str = "", daily_units: int = 2000, concurrent: int = 3) -> Path:
    path = folder / "nightdesk.toml"
    text = CONFIG.format(provider=provider, task=task, daily_units=daily_units, concurrent_runs=concurrent)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def _by_guard(findings: tuple[Rehearsed, ...]) -> dict[str, Rehearsed]:
    return {finding.guard: finding for finding in findings}


def test_every_guard_is_rehearsed_with_the_limits_of_the_config(nightdesk: Nightdesk) -> None:
    """Nothing listens at the address of the config, no key is set, and there is no state folder before or after."""
    _write(nightdesk.folder)
    done = nightdesk("rehearse", "nightly", "--json")
    report = done.json
    found = {finding["guard"]: finding for finding in report["findings"]}
    assert list(found) == list(CHECKS)
    assert [finding for finding in found.values() if not finding["passed"]] == []
    assert (done.code, report["passed"]) == (0, True)
    assert found["time limit"]["config"] == "15 min, rehearsed as 2 s (1:450)"
    assert found["budget"]["config"] == "80.0 units, cut_off reached"
    assert found["caps"]["seen"] == "4 at once: 3 launched, 1 refused by concurrent_runs"
    assert "80.0 units stay held" in found["lost answer"]["seen"]
    assert not nightdesk.state.exists()
    assert nightdesk.service.calls("create") == 0


def test_mistakes_get_one_line(nightdesk: Nightdesk) -> None:
    _write(nightdesk.folder)
    unknown = nightdesk("rehearse", "nigthly")
    assert (unknown.code, unknown.out) == (2, "")
    assert "did you mean nightly?" in unknown.err
    (nightdesk.folder / "nightdesk.toml").write_text(
        CONFIG.partition("[[tasks]]")[0].format(provider="", daily_units=1, concurrent_runs=1)
    )
    empty = nightdesk("rehearse")
    assert (empty.code, empty.out) == (2, "")
    assert "no tasks to rehearse" in empty.err


@pytest.mark.proofs
async def test_what_exists_only_at_the_service_is_replaced_and_named(tmp_path: Path) -> None:
    path = _write(tmp_path, provider='agent = "my-own-agent"\nsandbox = "0123456789abcdef"')
    settings = load(path)
    rehearsal = await rehearse(settings, settings.tasks)
    assert rehearsal.passed, rehearsal.findings
    assert [note.partition(" is only")[0] for note in rehearsal.notes[1:]] == [
        "nightly: agent my-own-agent",
        "nightly: sandbox 0123456789abcdef",
    ]


@pytest.mark.proofs
@pytest.mark.parametrize(
    ("provider", "notes"),
    [
        ('kind = "anthropic"\nagent = "agent_mine"\nenvironment = "env_mine"\nmodel = "m"', 2),
        ('kind = "openai"\nagent = "agent_mine"\nmodel = "m"', 1),
        ('kind = "openai"\ncontainer = "large"\nmodel = "m"', 0),
    ],
)
async def test_the_tasks_of_another_service_are_rehearsed_against_its_simulator(
    tmp_path: Path, provider: str, notes: int
) -> None:
    path = _write(tmp_path, provider=f'{provider}\n[prices."m"]\ninput = 2\noutput = 10')
    settings = load(path)
    rehearsal = await rehearse(settings, settings.tasks)
    assert rehearsal.passed, rehearsal.findings
    assert sum("only at the real service" in note for note in rehearsal.notes) == notes, rehearsal.notes
    lost = _by_guard(rehearsal.findings)["lost answer"]
    assert (lost.config, lost.seen.partition(";")[0]) == (
        "a session for each run",
        "found again at the service and supervised",
    )


@pytest.mark.proofs
async def test_a_task_that_never_fits_and_one_without_a_sandbox_are_told(tmp_path: Path) -> None:
    path = _write(tmp_path, task='sandbox = "remote"', daily_units=50)
    settings = load(path)
    found = _by_guard((await rehearse(settings, settings.tasks)).findings)
    assert not found["caps"].passed
    assert "never fits" in found["caps"].seen
    assert "it has no sandbox of its own" in found["lost answer"].seen
    assert all(finding.passed for guard, finding in found.items() if guard != "caps")


@pytest.mark.proofs
async def test_a_setting_that_the_service_refuses_fails_every_launch(tmp_path: Path) -> None:
    path = _write(tmp_path, task='tools = [{ type = "teleport" }]')
    settings = load(path)
    found = _by_guard((await rehearse(settings, settings.tasks)).findings)
    assert not found["time limit"].passed
    assert "the launch was refused" in found["time limit"].seen


@pytest.mark.proofs
async def test_guards_that_do_not_fire_fail(tmp_path: Path) -> None:
    """A service that accepts cancels without effect, and keeps agents when their sandbox is deleted."""
    settings = load(_write(tmp_path))
    rehearsal = await rehearse(settings, settings.tasks, faults=("cancel.never", "env_delete.run_goes_on"))
    failed = {finding.guard for finding in rehearsal.findings if not finding.passed}
    assert failed == {"time limit", "budget", "pause", "lost answer"}
    assert not rehearsal.passed


def test_the_room_is_that_of_the_narrowest_cap(tmp_path: Path) -> None:
    (task,) = load(_write(tmp_path, task="daily_runs = 7")).tasks
    caps = Caps(daily_units=500_000, monthly_units=None, daily_runs=None, concurrent_runs=9, time_zone="UTC")
    assert room_for(task, caps) == (6, "daily_units")
    assert room_for(
        task, Caps(daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None, time_zone="UTC")
    ) == (7, "task_daily_runs")
