"""The documentation is true: links have targets, examples run, and tables list exactly the keys, codes and commands."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import click
import pytest

from console.cli.exit_codes import ExitCode
from console.cli.main import COMMANDS, cli
from console.config import load
from console.config.schema import (
    SECTIONS,
    AnthropicTable,
    CapsTable,
    ConsoleTable,
    DefaultsTable,
    GeminiTable,
    NotifyTable,
    OpenAITable,
    OtelTable,
    PriceTable,
    ProviderTable,
    RolloutTable,
    SchedulerTable,
    StoreTable,
    Table,
    TaskTable,
    UnitsTable,
)
from console.domain.log_record import LogRecord, format_line
from console.simulator.faults import CallKind, ReplyFault, Switch
from console.simulator.scenario import PRESETS, Scenario
from tests.tree import ROOT, tracked_files

PAGES = [path for path in tracked_files() if path.suffix == ".md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")

TABLES: dict[str, type[Table]] = {
    "[provider]": GeminiTable,
    '[provider] kind = "anthropic"': AnthropicTable,
    '[provider] kind = "openai"': OpenAITable,
    "[providers.NAME]": ProviderTable,
    "[store]": StoreTable,
    "[units]": UnitsTable,
    "[caps]": CapsTable,
    '[prices."MODEL"]': PriceTable,
    "[defaults]": DefaultsTable,
    "[[tasks]]": TaskTable,
    "[rollout]": RolloutTable,
    "[scheduler]": SchedulerTable,
    "[console]": ConsoleTable,
    "[notify]": NotifyTable,
    "[otel]": OtelTable,
}
OVERRIDES = {*DefaultsTable.__struct_fields__, "agent", "model", "sandbox", "tools", "network", "system_instruction"}
"""Keys of a task that other tables have too."""

HEADINGS = [
    "What it prevents",
    "Install",
    "First run",
    "Keys",
    "Commands",
    "Configuration",
    "Guarantees",
    "Limitations",
]
README_LINES = 250


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_has_a_target(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_readme_is_short_and_in_order() -> None:
    assert len(README.splitlines()) <= README_LINES
    assert re.findall(r"^## (.+)$", README, flags=re.MULTILINE)[: len(HEADINGS)] == HEADINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_the_text_exists(page: Path) -> None:
    paths = re.findall(
        r"`((?:console|tests|docs|benchmarks|screenshots|themes)/[\w./-]+)`", page.read_text(encoding="utf-8")
    )
    assert not [path for path in paths if not (ROOT / path).exists()]


def _first_column(text: str) -> set[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("heading", TABLES)
def test_the_configuration_page_lists_every_key_and_no_other(heading: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = next(part for part in page.split("\n## ") if part.startswith(f"`{heading}`"))
    inherited = OVERRIDES if heading == "[[tasks]]" else set()
    assert _first_column(section) == set(TABLES[heading].__struct_fields__) - inherited


def test_the_configuration_page_lists_every_table() -> None:
    assert {re.sub(r"[^a-z].*", "", heading.strip("[")) for heading in TABLES} == set(SECTIONS)


def test_the_simulator_page_lists_every_field_preset_and_fault() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    statuses = {ReplyFault.STATUS: "NNN", ReplyFault.STATUS_BUT_DONE: "NNN_but_done"}
    fields = {field.name for field in dataclasses.fields(Scenario)}
    faults = {statuses.get(fault, fault.value) for fault in ReplyFault} | {switch.value for switch in Switch}
    control = {f"GET /_sim/{name}" for name in ("runs", "stats")} | {"POST /_sim/reset"}
    control |= {"POST /_sim/faults", "DELETE /_sim/faults"}
    assert _first_column(page) == fields | faults | control
    assert not [name for name in (*PRESETS, *CallKind) if f"`{name}`" not in page]


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_configuration_in_the_readme_is_accepted(tmp_path: Path) -> None:
    (block,) = _blocks(README, "toml")
    file = tmp_path / "nightdesk.toml"
    file.write_text(block, encoding="utf-8")
    file.chmod(0o600)
    assert [task.name for task in load(file).tasks] == ["nightly-report"]


def test_the_readme_lists_every_exit_code_and_no_other() -> None:
    section = README.split("## Exit codes")[1].split("\n## ")[0]
    told = [
        int(code) for row in re.findall(r"^\| ([\d, ]+) \|", section, flags=re.MULTILINE) for code in row.split(",")
    ]
    assert sorted(told) == sorted(ExitCode)


def test_the_readme_lists_every_command_and_no_other() -> None:
    (block,) = _blocks(README.split("## Commands")[1].split("\n## ")[0], "")
    columns = [re.split(r"  +", line)[0].removeprefix("nightdesk") for line in block.splitlines()]
    named = {words.split()[0] for column in columns if column for words in column.split(" | ")}
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in COMMANDS]
    # `help` is a word of the command line and not a command.
    assert (named | {"console"}) - {"help"} == {
        command.name for command in found if command is not None and not command.hidden
    }


def _sample_log(folder: Path) -> None:
    """Writes a log with two endings, a refusal, a missing line, and free text that looks like fields."""
    lines = [(1, "launched", 0), (2, "ok", 38_200), (3, "refused", 0), (4, "failed", 1_000), (6, "skipped", 0)]
    records = [
        LogRecord(
            ev=ev,
            at_ms=1_795_402_800_000 + ev * 1000,
            key="9f2c51ab03de7714",
            status=status,
            units=units,
            fields={"task": "nightly-report", "reason": 'forged status=ok units=99.0 ev=77 " end=1'},
        )
        for ev, status, units in lines
    ]
    (folder / "runs.log").write_bytes(b"".join(map(format_line, records)))


def test_the_awk_examples_of_the_log_page_are_not_misled_by_free_text(tmp_path: Path) -> None:
    _sample_log(tmp_path)
    (block,) = _blocks((ROOT / "docs" / "log.md").read_text(encoding="utf-8"), "sh")
    done = subprocess.run(["sh", "-euc", block], cwd=tmp_path, capture_output=True, text=True, check=True)
    units, refused, failed, gap = done.stdout.splitlines()
    assert (units, gap) == ("2026-11-23 39.2", "gap before 6")
    assert " status=refused " in refused
    assert " status=failed " in failed
