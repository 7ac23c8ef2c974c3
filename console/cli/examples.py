"""One or more examples for every command: for its help page and for the manual page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Example:
    """A command line and what it does."""

    line: str
    """Without the `nightdesk` before it."""
    meaning: str


EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "console": (
        Example("console", "open the console; `nightdesk` alone does the same"),
        Example("console --read-only=locked", "look and change nothing, for a colleague"),
    ),
    "demo": (
        Example("demo", "look around without a key and at no cost"),
        Example("demo --fleet", "three hosts on one database: kill one, and another takes its run over"),
    ),
    "init": (
        Example("init ~/.config/nightdesk/nightdesk.toml", "write a config where it is found from any folder"),
        Example("init --context staging", "write the config of a new context, with a state folder of its own"),
    ),
    "run": (
        Example("run nightly-report", "launch the task of today and wait for its end"),
        Example("run nightly-report --date 2026-11-22", "launch the key of another day"),
        Example('run nightly-report --rerun --reason "bad input"', "run a key again that is done"),
        Example("run nightly-report --origin manual --no-wait", "launch over ssh without waiting"),
    ),
    "serve": (
        Example("serve", "schedule and supervise until SIGTERM"),
        Example("serve --metrics 127.0.0.1:9402", "show metrics for Prometheus beside it"),
    ),
    "ps": (
        Example("ps --json", "list the open runs for a script"),
        Example("ps --context prod", "those of the context of ~/.config/nightdesk/prod.toml"),
    ),
    "status": (Example("status --json", "one object: alarms, caps, scheduler, next"),),
    "next": (Example("next --hours 72", "list what is due in three days"),),
    "history": (
        Example("history --since 2026-11-01 --outcome failed --outcome timeout", "list what went wrong this month"),
        Example("history --task nightly-report --csv", "one task for a spreadsheet"),
    ),
    "audit": (Example("audit --since 2026-11-01 --csv", "who did what this month, for a spreadsheet"),),
    "show": (
        Example("show 01k9zq", "one run, by the beginning of its id"),
        Example("show nightly-report --follow", "the live run of a task, step by step"),
    ),
    "diff": (Example("diff 01k9zq 01k9zr", "what differs between two runs"),),
    "watch": (Example("watch", "print one line for each change"),),
    "log": (
        Example("log -f", "print new lines as they come"),
        Example("log -n 100 --outcome failed", "the failures among the last hundred lines"),
    ),
    "log rebuild": (Example("log rebuild", "write the file again after a gap"),),
    "log rotate": (Example("log rotate --keep 30", "begin a new file and keep thirty old ones"),),
    "usage": (Example("usage --days 90 --by task --measure cost", "what each task has cost in three months"),),
    "report": (Example("report --month", "the month on one page"),),
    "cancel": (
        Example("cancel 01k9zq", "stop one run and wait for proof"),
        Example("cancel --all", "stop every live run"),
    ),
    "pause": (
        Example('pause --reason "budget review"', "allow no launch any more; live runs go on"),
        Example("pause --cancel", "allow no launch and stop what is live"),
    ),
    "resume": (Example("resume", "allow launches again"),),
    "approve": (Example("approve crawl-docs", "launch the proposal of a task"),),
    "decline": (Example('decline crawl-docs --reason "not today"', "let a proposal go"),),
    "stage": (
        Example("stage", "the stage of every task, and what the next one requires"),
        Example("stage nightly-report semi", "promote a task that has its evidence"),
        Example('stage nightly-report manual --reason "new prompt"', "demote a task"),
    ),
    "caps": (Example("caps", "how full each cap is, and when it frees"),),
    "caps raise": (Example('caps raise daily_units 200 --reason "release day"', "add 200 units for today"),),
    "context": (Example("context", "list the contexts"),),
    "import": (Example("import crontab", "print the jobs of your crontab as tasks"),),
    "import crontab": (
        Example("import crontab >> nightdesk.toml", "add the jobs of your crontab to the config"),
        Example("import crontab --system /etc/cron.d/agents", "read a file that names users"),
    ),
    "metrics": (
        Example("metrics", "print what Prometheus would read"),
        Example("metrics --textfile /var/lib/node_exporter/nightdesk.prom", "write it for the textfile collector"),
    ),
    "notify": (Example("notify", "who is told what"),),
    "notify test": (Example("notify test", "send a test message through every channel"),),
    "settle": (
        Example('settle 01k9zq adopt v1_abc --reason "found it"', "the agent runs under this id: supervise it"),
        Example('settle 01k9zq not-launched --reason "not listed"', "it was never launched: free key and hold"),
        Example('settle 01k9zq write-off --reason "nobody knows"', "book the whole hold as used"),
    ),
    "schema": (Example("schema ps", "the JSON Schema of what `ps --json` prints"),),
    "paths": (Example("paths", "which config and state folder are used, and why"),),
    "completion": (Example("completion bash", "print the script for ~/.bashrc"),),
    "man": (Example("man | man -l -", "read the manual page"),),
    "drill": (Example("drill", "see that every guardrail works on this machine"),),
    "rehearse": (Example("rehearse nightly-report", "see what each guardrail would do for one task"),),
    "simulator": (Example("simulator --port 8080", "a service to point a config of your own at"),),
    "service": (Example("service install", "run `serve` under systemd"),),
    "service install": (Example("service install", "write the unit; again, once the keys are there, to start it"),),
    "service status": (Example("service status", "whether it runs"),),
    "service remove": (Example("service remove", "stop it and remove the unit"),),
    "backup": (Example("backup /srv/backups/nightdesk-2026-11-23", "copy the state folder while it is in use"),),
    "restore": (Example("restore /srv/backups/nightdesk-2026-11-23", "put a copy back while nothing runs"),),
    "store": (Example("store", "where the runs are recorded, and who uses it"),),
    "store init": (
        Example("store init --role nightdesk_owner", "make an empty store in the schema of the config"),
        Example("store init --print", "print the statements, for a person who runs them"),
    ),
    "store grant": (
        Example("store grant nightdesk_engine --reader nightdesk_reader", "let one role launch and another one look"),
    ),
    "store migrate": (Example("store migrate --role nightdesk_owner", "upgrade the schema to this version"),),
    "store move": (Example("store move --role nightdesk_owner", "take the runs of this folder into the database"),),
    "store policy": (
        Example("store policy", "where the caps of this host differ from those of the fleet"),
        Example('store policy --take --reason "two more jobs a day"', "make the config of this host that of the fleet"),
    ),
    "store reclaim": (Example("store reclaim", "put launches back that a failover has lost"),),
    "store accept-loss": (Example('store accept-loss --reason "looked at the service"', "give up what is lost"),),
    "doctor": (
        Example("doctor", "what would stop a launch"),
        Example("doctor --reconcile", "let a restored or copied state folder launch again"),
    ),
}
"""By the words of the command."""


def with_examples(command: click.Command, path: str, program: str) -> click.Command:
    """Return `command` with its examples, and those of its subcommands, at the end of their help pages."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            with_examples(inner, f"{path} {name}", program)
    found = EXAMPLES.get(path, ())
    if found:
        lines = (f"  {program} {example.line}\n      {example.meaning}" for example in found)
        # The first line keeps click from wrapping the rest.
        command.epilog = "\b\nExamples:\n" + "\n".join(lines)
    return command
