"""`metrics`: the state of the whole as Prometheus reads it, on stdout or in a file for the textfile collector."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path

import click

from console.app import App
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, pass_invocation, refuse_if_locked, shared_options
from console.cli.opening import opened
from console.domain.text import os_error_text, sanitize
from console.engine.concerns import Concern
from console.metrics.endpoint import MetricsEndpoint

MISSING = "prometheus-client is not installed; install nightdesk with its extra `metrics`"
EVERY_S = 10.0
"""Between two readings of what `serve --metrics` shows."""


@click.command("metrics")
@click.option("--textfile", metavar="FILE", help="Replace FILE, which others may read, instead of printing.")
@shared_options
@pass_invocation
def metrics_command(invocation: Invocation, textfile: str | None) -> int:
    """Print metrics for Prometheus, or write them into a file.

    Runs by state and outcome, units and cost of today, caps, schedule and trouble.

    `nightdesk serve --metrics 127.0.0.1:9402` shows the same over HTTP.
    """
    if textfile is not None:
        refuse_if_locked(invocation, "metrics --textfile")
    require_client()
    text = asyncio.run(_text(invocation))
    if textfile is None:
        invocation.write(text.decode("utf-8"))
        invocation.flush()
        return ExitCode.OK
    path = invocation.working / Path(textfile).expanduser()
    try:
        _replace(path, text)
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"{sanitize(str(path))} cannot be written: {os_error_text(error)}") from None
    return ExitCode.OK


def require_client() -> None:
    """Raise CommandError without prometheus-client."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise CommandError(ExitCode.USAGE, MISSING)


async def _text(invocation: Invocation) -> bytes:
    from console.metrics.families import DayTotals, metrics_text

    async with opened(invocation) as app:
        snapshot = await app.engine.queries.snapshot()
        ended = await DayTotals(app.engine.queries).update(snapshot)
    return metrics_text(snapshot, ended, ledger=invocation.settings().store.name or "")


def _replace(path: Path, text: bytes) -> None:
    """Replace the file at once: a reader finds the whole of the old one or of the new one. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # The collector runs as a user of its own, and no secret is in it.
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class ServedMetrics:
    """What `serve --metrics` shows, made anew in a concern of the engine."""

    def __init__(self, app: App, ledger: str) -> None:
        from console.metrics.families import DayTotals

        self._app = app
        self._ledger = ledger
        self._totals = DayTotals(app.engine.queries)
        self.endpoint = MetricsEndpoint()

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port. Raises CommandError."""
        try:
            port = await self.endpoint.start(host, port)
        except OSError as error:
            raise CommandError(
                ExitCode.USAGE, f"--metrics {host}:{port} cannot be used: {os_error_text(error)}"
            ) from None
        self._app.engine.add_concern(Concern(name="metrics", round=self._read, every_s=EVERY_S))
        return port

    async def _read(self) -> None:
        from console.metrics.families import metrics_text

        snapshot = await self._app.engine.queries.snapshot()
        ended = await self._totals.update(snapshot)
        # In a thread: a thousand tasks make a long text.
        self.endpoint.page = await asyncio.to_thread(metrics_text, snapshot, ended, ledger=self._ledger)
