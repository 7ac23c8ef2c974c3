"""`doctor`: what would stop a launch, before one is tried. Reads everything and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation, refuse_in_fleet
from console.cli.known_folders import is_lost, other_folders
from console.cli.render.table import Tone, folded
from console.config import ConfigError, Settings
from console.doctor.environment_checks import AROUND_CHECKS
from console.doctor.fleet_checks import FLEET_CHECKS
from console.doctor.run_checks import WORK_CHECKS
from console.doctor.runner import Area, Finding, Level, Subject, run_checks
from console.doctor.service_checks import SERVICE_CHECKS
from console.doctor.store_checks import STORE_CHECKS
from console.doctor.task_checks import TASK_CHECKS
from console.engine.clock import SystemClock

TONES = {Level.OK: Tone.GOOD, Level.WARN: Tone.WATCH, Level.FAIL: Tone.BAD}


@click.command("doctor")
@click.option(
    "--reconcile",
    is_flag=True,
    help="Let a copied state folder, or a restored one that is older than its log, launch again, begin an empty one"
    " where the one that was used is gone, and add up again what counts against the caps.",
)
@json_option
@pass_invocation
def doctor_command(invocation: Invocation, reconcile: bool) -> int:
    """Report what would stop a launch, before one is tried. Changes nothing without --reconcile.

    Exit: 0 nothing does, 8 the state store would, 2 the config or the API key would.
    """
    if reconcile:
        refuse_in_fleet(invocation, "doctor --reconcile")
        return asyncio.run(_reconcile(invocation))
    findings = []
    subject = _subject(invocation)
    in_fleet = subject.settings is not None and subject.settings.store.fleet is not None
    stored = FLEET_CHECKS if in_fleet else (*STORE_CHECKS, *WORK_CHECKS)
    for finding in run_checks(subject, (*stored, *AROUND_CHECKS, *TASK_CHECKS, *SERVICE_CHECKS)):
        findings.append(finding)
        if not invocation.json:
            invocation.out(*_lines(finding, invocation))
    if invocation.json:
        invocation.out_json([_as_json(finding) for finding in findings])
    return exit_code_of_findings(findings)


async def _reconcile(invocation: Invocation) -> int:
    from console.doctor.reconcile import reconcile

    folder = invocation.folder
    begin_empty = is_lost(invocation.config.path, folder)
    decided = await reconcile(folder, begin_empty=begin_empty, by=invocation.by, now=SystemClock().now())
    if invocation.json:
        invocation.out_json({"reconciled": list(decided)})
    else:
        for line in decided or ("nothing to reconcile: the state folder is complete and in its place",):
            invocation.say(line)
    return ExitCode.OK


def _subject(invocation: Invocation) -> Subject:
    def load_settings() -> Settings:
        try:
            return invocation.settings()
        except CommandError as error:
            raise ConfigError([str(error)]) from None

    config = invocation.config
    return Subject(
        folder=invocation.folder,
        config=config.path,
        config_origin=config.why,
        other_folders=other_folders(config.path, invocation.folder),
        folder_is_lost=is_lost(config.path, invocation.folder),
        load_settings=load_settings,
        environment=invocation.environment,
        stdin=invocation.stdin,
        stdout=invocation.stdout,
        now=SystemClock().now(),
    )


def _lines(finding: Finding, invocation: Invocation) -> list[str]:
    level = f"{finding.level.value:<4}"
    text = f"{level}  {finding.check:<10}  {invocation.hinted(finding.message)}"
    first, *more = folded([text], invocation.width)
    return [invocation.style.paint(level, TONES[finding.level]) + first.removeprefix(level), *more]


def _as_json(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "part": finding.area, "level": finding.level, "told": finding.message}


def exit_code_of_findings(findings: Sequence[Finding]) -> ExitCode:
    """Return 8 if the store failed a check, else 2 if the config did, else 0."""
    failed = {finding.area for finding in findings if finding.level is Level.FAIL}
    if Area.STORE in failed:
        return ExitCode.STORE
    return ExitCode.USAGE if Area.CONFIG in failed else ExitCode.OK
