"""The questions before an operation: their text and their answers.

No question shows text that an agent wrote, so that an agent cannot influence the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from console.domain.caps import UNIT_CAPS, Cap, CapUsage
from console.domain.run import HOLDING, KEY_FREEING_OUTCOMES, Outcome, Run, State
from console.domain.server_limit import NO_SERVER_LIMIT
from console.engine.models import LaunchKind, LaunchPreview, RunDetail
from console.engine.prompts import PromptComparison
from console.ui.actions.prompt import SHOW, prompt_fact, prompt_status
from console.ui.dialogs.choices import Choice
from console.ui.dialogs.dialog import BACK, ChoiceDialog, Dialog, Field, FormDialog
from console.ui.dialogs.reasoned import ReasonedDialog
from console.ui.format import clock, countdown, cut_off_rule, elapsed, format_duration, money, units, when
from console.ui.glyphs import Glyphs, gauge, state_span
from console.ui.runs.cells import budget_tone
from console.ui.runs.lines import LABEL, labelled
from console.ui.spans import Line, Span, Tone, fit, left, line, sanitize_cell, width, wrapped
from console.ui.state.view_state import ViewState
from console.ui.words import user_text

ROOMY = 60
"""From this width in cells on a line of a cap is written out."""

CAP_NAMES = {
    Cap.TASK_DAILY_RUNS: "task today",
    Cap.TASK_DAILY_UNITS: "task today",
    Cap.DAILY_RUNS: "today",
    Cap.DAILY_UNITS: "today",
    Cap.MONTHLY_UNITS: "month",
    Cap.CONCURRENT_RUNS: "live",
}


def can_rerun(preview: LaunchPreview) -> bool:
    """True if the key is held by a run that has ended, so that a person may run it again with a reason."""
    holder = preview.holder
    return (
        preview.answer in (LaunchKind.SKIPPED, LaunchKind.REFUSED)
        and holder is not None
        and holder.state is State.ENDED
        and holder.outcome not in KEY_FREEING_OUTCOMES
        and (preview.refusal is None or preview.refusal.cap_usage is None)
    )


def launch_lines(
    preview: LaunchPreview, view: ViewState, cells: int, glyphs: Glyphs, prompt: PromptComparison | None = None
) -> list[Line]:
    """A previewed launch: target, key, limits, usual usage, highest cost, caps, and what prevents the launch."""
    limits = preview.limits
    rule = cut_off_rule(limits.cut_off)
    worst = money(preview.worst_case_micro, preview.currency)
    known = preview.worst_case_micro is not None
    return [
        labelled("target", sanitize_cell(preview.target)),
        labelled("key", Span(preview.key, Tone.STRONG), Span(f"  {preview.date}", Tone.MUTED)),
        # Before the figures: a low window cuts the end.
        *_obstacles(preview, view, cells, glyphs),
        *([prompt_fact(prompt, view)] if prompt is not None else []),
        labelled("time", format_duration(limits.max_ms), Span(", enforced outside the agent", Tone.MUTED)),
        labelled("budget", f"{units(limits.budget)} units", Span(f", cut off {rule}", Tone.MUTED)),
        labelled("usually", *_typical(preview)),
        labelled("at most", worst if known else "unknown: no price for this model"),
        *(() if limits.server_limit else (labelled("service", Span(NO_SERVER_LIMIT, Tone.WARN)),)),
        labelled(
            "agent",
            Span(f"{sanitize_cell(preview.task.agent)} {glyphs.dot} {sanitize_cell(preview.task.model)}", Tone.MUTED),
        ),
        (),
        *(_cap_line(each, limits.budget, cells, glyphs) for each in preview.cap_usages),
    ]


def _typical(preview: LaunchPreview) -> Line:
    typical = preview.typical
    if typical is None or not typical.runs:
        return line(Span("no successful run yet", Tone.MUTED))
    runs = "1 run" if typical.runs == 1 else f"{typical.runs} runs"
    most = f", 19 of 20 within {units(typical.p95_units)} units and {elapsed(typical.p95_ms)}"
    return line(f"{units(typical.median_units)} units", Span(f"{most} ({runs})", Tone.MUTED))


def _cap_line(cap_usage: CapUsage, need: int, cells: int, glyphs: Glyphs) -> Line:
    """How full a cap is, and how full it would be after this launch."""
    in_units = cap_usage.cap in UNIT_CAPS
    added = need if in_units else 1
    taken = cap_usage.held + cap_usage.spent

    def amount(value: int) -> str:
        return units(value) if in_units else str(value)

    what = "units" if in_units else "run" if taken == 1 else "runs"
    name = CAP_NAMES[cap_usage.cap]
    if cap_usage.limit is None:
        return labelled(name, f"{amount(taken)} {what}", Span(", no cap", Tone.MUTED))
    fits = cap_usage.admits(added)
    tone = budget_tone(taken, cap_usage.limit)
    bar = gauge(min(16, max(0, cells - 60)), ((taken, tone), (added, Tone.HELD)), cap_usage.limit, glyphs)
    now = left(f"{amount(taken)} of {amount(cap_usage.limit)} {'units' if in_units else 'runs'}", 22)
    then = "after this launch" if cells >= ROOMY else "after it"
    after = Span(f"{amount(taken + added)} {then}", Tone.MUTED if fits else Tone.BAD)
    return labelled(name, *bar, Span("  " if bar else ""), now, after)


def _obstacles(preview: LaunchPreview, view: ViewState, cells: int, glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    if preview.holder is not None:
        holder = preview.holder
        ended = f" at {when(holder.ended_ms, view.now_ms, view.zone)}" if holder.ended_ms else ""
        held = line(
            state_span(holder, glyphs), f"{ended}, attempt {holder.attempt}", Span(f"  {holder.id}", Tone.MUTED)
        )
        lines.append(labelled("taken by", *held))
    lines.extend(labelled("differs", Span(sanitize_cell(each), Tone.WARN)) for each in preview.differences)
    if preview.refusal is not None:
        pieces = wrapped(sanitize_cell(preview.refusal.sentence), cells - LABEL)
        lines.extend(labelled("refused" if not at else "", Span(each, Tone.BAD)) for at, each in enumerate(pieces))
        cap_usage = preview.refusal.cap_usage
        if cap_usage is not None and cap_usage.frees_at_ms is not None:
            frees = f"frees at {when(cap_usage.frees_at_ms, view.now_ms, view.zone)}"
            lines.append(labelled("", f"{frees}, in {countdown(cap_usage.frees_at_ms - view.now_ms)}"))
    elif preview.answer is LaunchKind.SKIPPED:
        done = preview.holder is not None and preview.holder.outcome is Outcome.OK
        lines.append(labelled("skipped", Span("already done" if done else "already running", Tone.WARN)))
    return [(), *lines, ()] if lines else []


def run_names(runs: Sequence[Run], cells: int, glyphs: Glyphs, *, most: int = 8) -> list[Line]:
    """One line for each of the first `most` runs, then the number of the others."""
    names = min(max((width((Span(sanitize_cell(run.task)),)) for run in runs), default=0), max(10, cells // 3))
    lines = [
        line(
            *fit((state_span(run, glyphs),), 14, glyphs.ellipsis),
            Span(left(sanitize_cell(run.task), names + 2), Tone.STRONG),
            Span(f"{sanitize_cell(run.target)}  {run.key}", Tone.MUTED),
        )
        for run in runs[:most]
    ]
    more = len(runs) - most
    return [*lines, line(Span(f"and {more} more", Tone.MUTED))] if more > 0 else lines


def proposal_lines(run: Run, view: ViewState, prompt: PromptComparison | None = None) -> list[Line]:
    """A proposed launch: key, fingerprint and limits; no text that an agent wrote."""
    limits, fingerprint = run.limits, run.fingerprint
    until = when(run.expires_ms, view.now_ms, view.zone) if run.expires_ms else "no limit"
    system = f", system {fingerprint.system_sha256[:12]}" if fingerprint.system_sha256 else ""
    return [
        labelled(
            "task", Span(sanitize_cell(run.task), Tone.STRONG), Span(f"  {sanitize_cell(run.target)}", Tone.MUTED)
        ),
        labelled("key", run.key, Span(f"  {sanitize_cell(run.date)}", Tone.MUTED)),
        labelled("limits", f"{format_duration(limits.max_ms)}, {units(limits.budget)} units"),
        labelled("agent", ", ".join(map(sanitize_cell, filter(None, (fingerprint.agent, fingerprint.model))))),
        labelled("prompt", f"{fingerprint.prompt_length} characters, {fingerprint.prompt_sha256[:12]}{system}"),
        *(_prompt_lines(prompt, run, view) if prompt is not None else ()),
        labelled("asked", f"{run.origin.value}, {user_text(run.requested_by)}, at {clock(run.created_ms, view.zone)}"),
        *_evidence(view.detail if view.detail is not None and view.detail.run.id == run.id else None),
        labelled("until", until),
    ]


def _evidence(detail: RunDetail | None) -> list[Line]:
    """Evidence of the task since its last change of stage, as counts."""
    if detail is None or detail.evidence is None:
        return []
    found = detail.evidence
    worst = money(detail.worst_case_micro, detail.currency) if detail.worst_case_micro is not None else "unknown"
    if not found.ran:
        return [
            labelled("at most", worst),
            labelled("evidence", Span("no run since the last change of stage", Tone.WARN)),
        ]
    clean = found.manual_ok + found.approved_ok
    used = f"19 of 20 within {units(found.p95_units or 0)} units and {elapsed(found.p95_ms or 0)}"
    doubt = Span(f", {found.unconfirmed} unconfirmed", Tone.BAD) if found.unconfirmed else Span("")
    return [
        labelled("at most", worst),
        labelled("evidence", f"{found.ran} ran, {clean} clean, {found.guards_held} cut off", doubt),
        labelled("", Span(used, Tone.MUTED)),
    ]


RULING = 14
"""The width of the name of a ruling, in cells."""


def settle_lines(run: Run, cells: int) -> list[Line]:
    """What is not known about a run, and the effect of each ruling."""
    if run.state is State.UNCONFIRMED:
        doubt = "The launch was sent and no id came back. Check at the provider first."
    else:
        doubt = "A stop was requested and the provider has not shown the end of the run. Check there first."
    rulings = [
        ("Found it…", "enter its id: the run is monitored and supervised again"),
        ("Not launched", "you made sure that it never started: the hold is released and the key is free"),
        ("Write off", "its end cannot be known: the whole hold counts as used, and the key needs --rerun"),
    ]
    if run.state is not State.UNCONFIRMED:
        rulings = rulings[2:]
    return [
        *(line(Span(each)) for each in wrapped(doubt, cells)),
        (),
        labelled("key", run.key, Span(f"  {sanitize_cell(run.task)}", Tone.MUTED)),
        labelled("hold", f"{units(run.limits.budget)} units"),
        (),
        *(each for name, does in rulings for each in _explained(name, does, cells)),
    ]


def _explained(name: str, does: str, cells: int) -> list[Line]:
    """The effect of a ruling, wrapped rather than cut, because the answer depends on it."""
    first, *more = wrapped(does, max(20, cells - RULING))
    start = line(Span(f"{name:<{RULING}}", Tone.STRONG), Span(first, Tone.MUTED))
    return [start, *(line(Span(" " * RULING + each, Tone.MUTED)) for each in more)]


def stop_question(runs: Sequence[Run], glyphs: Glyphs) -> ReasonedDialog:
    """The question before marked runs are cancelled. The key that opened it also answers it."""
    what = "1 marked run" if len(runs) == 1 else f"{len(runs)} marked runs"
    choices = (BACK, Choice(id="stop", label=f"Cancel {what}", key="x"))
    return ReasonedDialog(f"Cancel {what}?", lambda cells: run_names(runs, cells, glyphs), choices)


def _prompt_lines(prompt: PromptComparison, run: Run, view: ViewState) -> Iterator[Line]:
    """Whether the prompt in the config was approved before, and whether it is the proposed one."""
    yield labelled("", prompt_status(prompt, view))
    if run.fingerprint.prompt_sha256 != prompt.sha256:
        yield labelled("", Span("the config has another prompt than this proposal", Tone.WARN))


def approve_question(run: Run, view: ViewState, prompt: PromptComparison | None, reason: str = "") -> ReasonedDialog:
    """The question before a proposal is approved. Returns `approve`, or `prompt` where that is to be shown first.

    `reason` is what was typed before the prompt was shown.
    """
    choices = (BACK, *((SHOW,) if prompt is not None else ()), Choice(id="approve", label="Approve", key="a"))
    return ReasonedDialog(
        "Approve this launch?", lambda cells: proposal_lines(run, view, prompt), choices, reason=reason
    )


def decline_question(run: Run, view: ViewState) -> FormDialog:
    """The question before a proposal is declined. The reason may stay empty."""
    fields = (Field(label="reason", hint="may stay empty", needed=False),)
    return FormDialog("Decline this launch?", lambda cells: proposal_lines(run, view), fields, done="decline")


def ruling_question(run: Run) -> ChoiceDialog:
    """The question what became of a run. Returns `adopt`, `not-launched` or `write-off`."""
    rulings = [BACK, Choice(id="write-off", label="Write off")]
    if run.state is State.UNCONFIRMED:
        rulings[1:1] = [Choice(id="adopt", label="Found it…"), Choice(id="not-launched", label="Not launched")]
    return ChoiceDialog("Resolve this run", lambda cells: settle_lines(run, cells), rulings, loud=True)


def reason_question(run: Run, ruling: str) -> FormDialog:
    """The form for the reason of a ruling; for `adopt` also for the id at the provider."""
    fields = [Field(label="reason", hint="how you know")]
    if ruling == "adopt":
        fields.insert(0, Field(label="id at the provider"))
    named = line(Span(sanitize_cell(run.task), Tone.STRONG), Span(f"  {run.key}", Tone.MUTED))
    title = "Found it: enter its id" if ruling == "adopt" else f"Settle as {ruling.replace('-', ' ')}"
    return FormDialog(title, lambda cells: [named], fields, done="settle", loud=True)


def kill_question(view: ViewState, glyphs: Glyphs) -> ReasonedDialog:
    """The question of the kill switch. Returns `pause`, `resume` or `cancel`."""
    live = tuple(run for run in view.snapshot.live if run.state in HOLDING)
    choices = [BACK]
    if view.snapshot.paused is None:
        title = "Kill switch"
        words = "No run is launched until somebody resumes. Live runs go on, unless you cancel them too."
        choices.append(Choice(id="pause", label="Pause launches"))
    else:
        title, words = "Launches are paused", "Resume allows scheduled and manual launches again."
        choices.append(Choice(id="resume", label="Resume launches"))
    if live:
        choices.append(Choice(id="cancel", label=f"Pause and cancel all {len(live)}"))

    def body(cells: int) -> list[Line]:
        said = [line(Span(piece)) for piece in wrapped(words, cells)]
        return [*said, *([()] if live else []), *run_names(live, cells, glyphs)]

    return ReasonedDialog(title, body, choices, loud=True)


def launch_question(
    preview: LaunchPreview, view: ViewState, glyphs: Glyphs, prompt: PromptComparison | None = None
) -> Dialog[str] | Dialog[tuple[str, ...]]:
    """The question before a launch. A key that had its run needs a reason; a refusal can only be read.

    Returns `launch`, `prompt` where the prompt is to be shown first, or the reason.
    """
    title = f"Launch {sanitize_cell(preview.task.name)}"

    def body(cells: int) -> list[Line]:
        return launch_lines(preview, view, cells, glyphs, prompt)

    show = (SHOW,) if prompt is not None else ()
    if preview.answer in (LaunchKind.LAUNCHED, LaunchKind.PROPOSED):
        return ChoiceDialog(title, body, (Choice(id="launch", label="Launch"), *show, BACK))
    if can_rerun(preview):
        field = Field(label="this key had its run; reason to run it again")
        return FormDialog(title, body, (field,), done="launch again")
    return ChoiceDialog(title, body, (BACK,))
