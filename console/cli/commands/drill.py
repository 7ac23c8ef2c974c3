"""`drill`: every guard against the built-in simulator or, with `--live`, against the service of the config."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from pathlib import Path

import click

from console.app import engine_settings
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation, refuse_if_locked
from console.cli.render.findings import print_findings
from console.cli.render.table import Cell, Column, Tone, render_table
from console.cli.signals import shutdown_on_signals
from console.config import Settings
from console.domain.formatting import counted
from console.domain.task import Task
from console.domain.text import sanitize
from console.drill.checks import CHECKS
from console.drill.live.checks import CHECKS as CHECKS_LIVE
from console.drill.live.plan import LEAST_UNITS, MOST_UNITS, USUAL_UNITS, LivePlan, announcement, template_of
from console.drill.live.report import LiveFinding, LiveReport, Verdict
from console.drill.live.runner import LiveSetup, ServiceUnusable, live_drill
from console.drill.runner import Finding, drill
from console.engine.settings import ProcessKind
from console.simulated import SIMULATED

NOT_SUSPENDED = "not suspended: this process guards agents; ctrl-c stops them and ends the drill"
TONES = {
    Verdict.HELD: Tone.GOOD,
    Verdict.DIFFERS: Tone.WATCH,
    Verdict.NOT_KNOWN: Tone.FAINT,
    Verdict.FAILED: Tone.BAD,
}


@click.command("drill")
@click.option(
    "--live", is_flag=True, help="Against the real service of the config, with your key. Costs money; asks first."
)
@click.option(
    "--provider", metavar="NAME", help="With --live: the provider of the config. Default: `default`, or the only one."
)
@click.option(
    "--max-units",
    type=click.IntRange(LEAST_UNITS, MOST_UNITS),
    metavar="N",
    help=f"With --live: units that all its runs together may use. Default: {USUAL_UNITS}.",
)
@click.option("--yes", is_flag=True, help="With --live: do not ask.")
@json_option
@pass_invocation
def drill_command(invocation: Invocation, live: bool, provider: str | None, max_units: int | None, yes: bool) -> int:
    """Prove each guard against the built-in simulator, or with --live the service.

    Exit: 0 every guard fired, 1 one did not. With --live also: 5 not wanted, 6 refused by the service, 7 a run is left
    of which no end was shown, 75 the service is not reached.
    """
    if live:
        return _live(invocation, provider, LivePlan(max_units=max_units or USUAL_UNITS), yes=yes)
    if provider is not None or max_units is not None or yes:
        raise click.UsageError("--provider, --max-units and --yes belong to --live")
    began = time.monotonic()
    if not invocation.json:
        services = counted(len(SIMULATED), "simulated service")
        invocation.say(f"{len(CHECKS)} checks on each of {services}, about {10 * len(SIMULATED)} seconds")

    def report(finding: Finding) -> None:
        if not invocation.json and invocation.stdout.isatty():
            invocation.say(f"{'pass' if finding.passed else 'FAIL'}  {finding.service}: {finding.guard}")

    findings = asyncio.run(drill(CHECKS, dict(invocation.environment), on_finding=report))
    if invocation.json:
        invocation.out_json([asdict(finding) for finding in findings])
    else:
        _print(invocation, findings, time.monotonic() - began)
    return ExitCode.OK if all(finding.passed for finding in findings) else ExitCode.AGENT


def _print(invocation: Invocation, findings: tuple[Finding, ...], seconds: float) -> None:
    rows = ((finding.service, finding.done, finding) for finding in findings)
    passed, tried = print_findings(invocation, "service", "done", rows)
    invocation.say(f"{passed} of {tried} guards fired, in {seconds:.1f} s")


def _live(invocation: Invocation, provider: str | None, plan: LivePlan, *, yes: bool) -> int:
    refuse_if_locked(invocation, "drill --live")
    settings = invocation.settings()
    try:
        template = template_of(settings, provider)
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, sanitize(str(error), limit=300)) from None
    engine = engine_settings(settings, ProcessKind.RUN)
    invocation.say(*(sanitize(line, limit=400) for line in announcement(plan, template, settings, engine)))
    folder = _folder(invocation)
    invocation.say(
        f"If this process is killed, stop what it left with: {_again(invocation, folder)} cancel --all",
        "The next drill --live does so too.",
    )
    if not yes and not _confirmed(invocation):
        invocation.say("nothing was launched")
        return ExitCode.CANCELLED
    return asyncio.run(_drill_live(invocation, settings, template, plan, folder))


def _folder(invocation: Invocation) -> Path:
    """Return the state folder of live drills: beside the usual one, so that their runs are in none of its figures."""
    usual = invocation.folder
    return usual.with_name(f"{usual.name}-drill")


def _again(invocation: Invocation, folder: Path) -> str:
    config = sanitize(str(invocation.config.path))
    return f"nightdesk --config {config} --state-dir {sanitize(str(folder))}"


def _confirmed(invocation: Invocation) -> bool:
    """Ask a person at a terminal. Raises CommandError where nobody can answer."""
    if not invocation.stdin.isatty():
        raise CommandError(
            ExitCode.USAGE, "nobody can be asked, as stdin is no terminal; --yes launches without a question"
        )
    invocation.say("Launch them? [y/N]")
    return invocation.stdin.readline().strip().lower() in ("y", "yes")


async def _drill_live(invocation: Invocation, settings: Settings, template: Task, plan: LivePlan, folder: Path) -> int:
    def on_finding(finding: LiveFinding) -> None:
        if not invocation.json:
            invocation.say(f"{finding.verdict.value:>9}  {finding.check}  ({finding.seconds:.0f} s)")

    # Signals are handled until everything is stopped, so that a second ctrl-c does not leave an agent behind.
    with shutdown_on_signals(on_suspend=lambda: invocation.say(NOT_SUSPENDED)) as shutdown:
        setup = LiveSetup(
            settings=settings,
            template=template,
            plan=plan,
            folder=folder,
            environment=invocation.environment,
            interrupted=shutdown.wait,
            on_finding=on_finding,
            say=lambda line: invocation.say(sanitize(line, limit=400)),
        )
        try:
            report = await live_drill(setup)
        except ServiceUnusable as error:
            code = ExitCode.REFUSED if error.is_refused else ExitCode.TRY_LATER
            raise CommandError(code, sanitize(f"{error}; nothing was launched", limit=400)) from error
        if invocation.json:
            invocation.out_json(report.to_json())
        else:
            _print_live(invocation, report)
        invocation.say(*_left_lines(report, _again(invocation, folder)))
        if report.left:
            return ExitCode.UNCONFIRMED
        if shutdown.code is not None:
            return shutdown.code
        return ExitCode.OK if report.passed else ExitCode.AGENT


def _print_live(invocation: Invocation, report: LiveReport) -> None:
    columns = (Column(title="check"), Column(title="assumed"), Column(title="seen"), Column(title="result"))
    rows = [
        (
            Cell(finding.check),
            Cell(finding.assumed, Tone.FAINT),
            Cell(finding.seen),
            Cell(finding.verdict.value, TONES[finding.verdict]),
        )
        for finding in report.findings
    ]
    invocation.out(*render_table(columns, rows, invocation.style, None))
    invocation.say(*report.notes)
    if report.differences:
        invocation.say("The service differs from what this program assumes. `--json` prints a report for a bug report:")
        invocation.say("it has no key, no prompt and no id of the service.")


def _left_lines(report: LiveReport, again: str) -> tuple[str, ...]:
    """Say how many checks held, and what may still work."""
    held = sum(finding.verdict in (Verdict.HELD, Verdict.DIFFERS) for finding in report.findings)
    count = f"{held} of {len(CHECKS_LIVE)} checks held"
    if not report.left:
        return (f"{count}; everything that was started has ended",)
    return tuple(f"run {left.run_id} may still work: {left.why}; {again} cancel {left.run_id}" for left in report.left)
