"""The questions before an act that cannot be taken back: what is asked, and which answers there are."""

from __future__ import annotations

from collections.abc import Sequence

from console.domain.run import HOLDING, Run, State
from console.engine.snapshot import LaunchKind, LaunchPreview
from console.ui.glyphs import Glyphs
from console.ui.look import Look
from console.ui.question_lines import can_rerun, launch_lines, proposal_lines, run_names, settle_lines
from console.ui.screens.dialogs import BACK, Ask, Dialog, Field, Form
from console.ui.spans import Line, Span, Tone, foreign, line, wrapped
from console.ui.widgets.choices import Choice


def stop_question(runs: Sequence[Run], glyphs: Glyphs) -> Ask:
    """Several at once: the number is named; the key that asked also answers."""
    what = "1 marked run" if len(runs) == 1 else f"{len(runs)} marked runs"
    choices = (BACK, Choice(id="stop", label=f"Cancel {what}", key="x"))
    return Ask(f"Cancel {what}?", lambda cells: run_names(runs, cells, glyphs), choices)


def approve_question(run: Run, look: Look) -> Ask:
    """What would run."""
    choices = (BACK, Choice(id="approve", label="Approve", key="a"))
    return Ask("Approve this launch?", lambda cells: proposal_lines(run, look), choices)


def decline_question(run: Run, look: Look) -> Form:
    """The reason may stay empty."""
    fields = (Field(label="reason", hint="may stay empty", needed=False),)
    return Form("Decline this launch?", lambda cells: proposal_lines(run, look), fields, done="declines it")


def ruling_question(run: Run) -> Ask:
    """Returns `adopt`, `not-launched` or `write-off`."""
    rulings = [BACK, Choice(id="write-off", label="Write off")]
    if run.state is State.UNCONFIRMED:
        rulings[1:1] = [Choice(id="adopt", label="It is …"), Choice(id="not-launched", label="Not launched")]
    return Ask("What became of this run?", lambda cells: settle_lines(run, cells), rulings, loud=True)


def reason_question(run: Run, ruling: str) -> Form:
    """How the operator knows; before it, for `adopt`, which id."""
    fields = [Field(label="reason", hint="how you know")]
    if ruling == "adopt":
        fields.insert(0, Field(label="id at the provider"))
    named = line(Span(foreign(run.task), Tone.STRONG), Span(f"  {run.key}", Tone.MUTED))
    title = f"Settle as {ruling.replace('-', ' ')}"
    return Form(title, lambda cells: [named], fields, done="settles it", loud=True)


def kill_question(look: Look, glyphs: Glyphs) -> Ask:
    """Returns `pause`, `resume` or `cancel`."""
    live = tuple(run for run in look.snapshot.live if run.state in HOLDING)
    choices = [BACK]
    if look.snapshot.paused is None:
        title = "Kill switch"
        words = "No launch goes out until somebody resumes. What is live goes on, or is cancelled too."
        choices.append(Choice(id="pause", label="Pause launches"))
    else:
        title, words = "Launches are paused", "Resume lets scheduled and manual launches go out again."
        choices.append(Choice(id="resume", label="Resume launches"))
    if live:
        choices.append(Choice(id="cancel", label=f"Pause and cancel all {len(live)}"))

    def body(cells: int) -> list[Line]:
        said = [line(Span(piece)) for piece in wrapped(words, cells)]
        return [*said, *([()] if live else []), *run_names(live, cells, glyphs)]

    return Ask(title, body, choices, loud=True)


def launch_question(preview: LaunchPreview, look: Look, glyphs: Glyphs) -> Dialog[str] | Dialog[tuple[str, ...]]:
    """Enter launches what is seen; a key that had its run asks for a reason; a refusal can only be read."""
    title = f"Launch {foreign(preview.task.name)}"

    def body(cells: int) -> list[Line]:
        return launch_lines(preview, look, cells, glyphs)

    if preview.answer in (LaunchKind.LAUNCHED, LaunchKind.PROPOSED):
        return Ask(title, body, (Choice(id="launch", label="Launch"), BACK))
    if can_rerun(preview):
        field = Field(label="this key had its run; to run it again, say why")
        return Form(title, body, (field,), done="launches again")
    return Ask(title, body, (BACK,))
