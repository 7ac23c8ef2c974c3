"""Commands that messages advise run as printed, on the state folder and the config of the command that printed them."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterable

from console.cli.invocation import Invocation
from console.cli.main import run
from tests.cli.nightdesk import Done, Nightdesk

ADVISED = re.compile(r"`(nightdesk(?: [^`]*)?)`|: (nightdesk [a-z-][^;)\n]*)")
GO_ON = frozenset({"serve", "demo"})
"""Commands that do not end by themselves: only their options are read."""
EXAMPLES = {"TASK": "good", "…": "why"}
"""What stands for a word that the person has to fill in."""


def advised(*done: Done) -> list[str]:
    """The commands that the messages and the output advise."""
    return [one or other for each in done for one, other in ADVISED.findall(each.out + each.err)]


def as_printed(nightdesk: Nightdesk, text: str) -> Done:
    """Run a printed command without the flags that the fixture adds; of several forms the first."""
    words = [EXAMPLES.get(word, word) for word in shlex.split(text.replace("adopt ID|", ""))]
    program, *arguments = [word.split("|")[0] for word in words]
    assert program == "nightdesk"
    if not [word for word in arguments if not word.startswith("-") and "/" not in word] or GO_ON & set(arguments):
        arguments.append("--help")
    out, err = io.StringIO(), io.StringIO()
    invocation = Invocation(
        environment=nightdesk.environment, stdin=io.StringIO(), stdout=out, stderr=err, working=nightdesk.folder.parent
    )
    code = run(arguments, invocation)
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


def flags(nightdesk: Nightdesk) -> Iterable[str]:
    return ("--config", str(nightdesk.folder / "nightdesk.toml"))


def test_what_messages_advise_runs_as_printed(nightdesk: Nightdesk) -> None:
    def printed(*words: str) -> Done:
        return nightdesk(*flags(nightdesk), *words)

    chosen = f"nightdesk --state-dir {nightdesk.state} --config {nightdesk.folder / 'nightdesk.toml'}"
    launched = [printed("run", task, "--origin", "manual") for task in ("good", "lost")]
    proposed = printed("stage", "nightly", "semi", "--force", "--reason", "a test")
    waiting = printed("run", "nightly", "--origin", "schedule", "--no-wait")
    paused = printed("pause")
    refused = printed("run", "failing", "--origin", "manual")
    again = printed("run", "lost", "--origin", "manual")
    seen = [printed(*words.split()) for words in ("ps", "status", "doctor", "show nobody", "next", "service status")]
    found = advised(*launched, proposed, waiting, paused, refused, again, *seen)
    assert {words.removeprefix(chosen).split()[0] for words in found if words != chosen} >= {
        *("show", "settle", "approve", "resume", "serve", "history")
    }
    for text in found:
        assert text.startswith(chosen), text
        done = as_printed(nightdesk, text)
        assert "Usage:" not in done.err, (text, done.err)
        assert "no config file" not in done.err, (text, done.err)


def test_without_flags_and_in_the_words_of_others_nothing_is_added(nightdesk: Nightdesk) -> None:
    invocation = Invocation(
        environment=nightdesk.environment,
        stdin=io.StringIO(),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        working=nightdesk.folder,
    )
    text = "paused: run `nightdesk resume`; supervised by nightdesk serve (pid 7); to stop it: nightdesk cancel 01a"
    assert invocation.hinted(text) == text
    invocation.state_flag = "my state"
    flags = f"--state-dir '{nightdesk.folder}/my state'"
    assert invocation.hinted(text) == (
        f"paused: run `nightdesk {flags} resume`; supervised by nightdesk serve (pid 7); "
        f"to stop it: nightdesk {flags} cancel 01a"
    )
    assert invocation.hinted(invocation.hinted(text)) == invocation.hinted(text)
