"""`notify`: who is told what while nobody is at the console, and a message to try it."""

from __future__ import annotations

import asyncio

import click

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation, refuse_if_locked
from console.cli.outgoing import source_of
from console.config.settings import NotifySettings, QuietHours
from console.engine.clock import SystemClock
from console.notify.channels import Channel, make_channels
from console.notify.delivery import attempt
from console.notify.message import NoticeMessage

NOBODY = (
    "nobody is told anything: [notify] of the config has none of command, webhook, webhook_file and apprise_file; "
    "docs/configuration.md describes them"
)


@click.group("notify", invoke_without_command=True)
@json_option
@pass_invocation
@click.pass_context
def notify_command(context: click.Context, invocation: Invocation) -> int | None:
    """Show who is told what while nobody is at the console, or try it."""
    return None if context.invoked_subcommand else _show(invocation)


@notify_command.command("test")
@json_option
@pass_invocation
def test_command(invocation: Invocation) -> int:
    """Send one test message through every channel, now, and say what came of it.

    Exit: 0 every channel took it, 75 one did not.
    """
    refuse_if_locked(invocation, "notify test")
    channels = _channels(invocation)
    message = NoticeMessage(
        source=source_of(invocation.settings()),
        kind="test",
        at_ms=SystemClock().now().wall_ms,
        lines=("this is a test: messages of nightdesk arrive here",),
    )
    return asyncio.run(_test(invocation, channels, message))


async def _test(invocation: Invocation, channels: tuple[Channel, ...], message: NoticeMessage) -> int:
    found = await asyncio.gather(*(attempt(channel, message) for channel in channels))
    if invocation.json:
        invocation.out_json(
            [
                {"channel": channel.name, "delivered": failed is None, "why": str(failed) if failed else None}
                for channel, failed in zip(channels, found, strict=True)
            ]
        )
    else:
        for channel, failed in zip(channels, found, strict=True):
            invocation.out(f"{channel.name}: {f'not delivered: {failed}' if failed else 'delivered'}")
    return ExitCode.TRY_LATER if any(found) else ExitCode.OK


def _channels(invocation: Invocation) -> tuple[Channel, ...]:
    """The channels of the config, at least one. Raises CommandError."""
    use = invocation.settings().notify
    if not use.is_on:
        raise CommandError(ExitCode.USAGE, NOBODY)
    return make_channels(use, invocation.environment)


def _show(invocation: Invocation) -> int:
    use = invocation.settings().notify
    names = [channel.name for channel in make_channels(use, invocation.environment)]
    if invocation.json:
        invocation.out_json(
            {
                "channels": names,
                "kinds": sorted(use.kinds),
                "quiet_hours": _hours(use.quiet) if use.quiet else None,
                "quiet_kinds": sorted(use.quiet_kinds),
                "debounce_seconds": use.debounce_ms / 1000,
                "daily_summary": None if use.summary is None else _time(use.summary),
            }
        )
    elif names:
        invocation.out(*_lines(use, names))
    else:
        invocation.out(NOBODY)
    return ExitCode.OK


def _lines(use: NotifySettings, names: list[str]) -> list[str]:
    lines = [
        f"channels       {', '.join(names)}",
        f"kinds          {', '.join(sorted(use.kinds)) or 'none'}",
        f"at most        one message a kind in {use.debounce_ms / 1000:g} s",
    ]
    if use.quiet is not None:
        lines.append(f"quiet hours    {_hours(use.quiet)}, but for {', '.join(sorted(use.quiet_kinds)) or 'nothing'}")
    if use.summary is not None:
        lines.append(f"daily summary  {_time(use.summary)}")
    return lines


def _hours(quiet: QuietHours) -> str:
    return f"{_time(quiet.begin)}-{_time(quiet.end)}"


def _time(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
