"""Key and prompt are masked in every text that is not the agent's own, whichever call it comes back from."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections.abc import Callable

import httpx
import pytest

from console.provider.contract import Launched, ProviderError, RemoteRun, StreamEvent
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.redaction import MASK, MAX_HIDDEN, Redactor
from console.provider.http.secret import Secret
from tests.provider.examples import HOST, KEY, PROMPT, Handler, answering, error_new, interaction, order, provider

SECRETS = {"the key": KEY, "part of the key": KEY[3:20], "the prompt": PROMPT, "part of the prompt": PROMPT[12:60]}


def knowing_prompts(handler: Handler) -> GeminiProvider:
    """An adapter that launched nothing itself, as after a restart, but was given the configured prompts."""
    return GeminiProvider(
        base_url=HOST, secret=Secret(KEY), hidden=[PROMPT], transport=lambda: httpx.MockTransport(handler)
    )


def error_of(secret: str) -> dict[str, object]:
    return {"code": "blocked", "message": f"refused: {secret}"}


def texts_of(run: RemoteRun) -> str:
    return repr((run.status, run.errors, [(step.kind, step.text) for step in run.steps], run.labels))


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "changes",
    [
        lambda secret: {"status": "failed", "errors": [error_of(secret)]},
        lambda secret: {"status": f"failed {secret}"[:64]},
        lambda secret: {"steps": [{"type": "model_output", "content": "x", "error": error_of(secret)}]},
        lambda secret: {"steps": [{"type": "refusal", "reason": {"message": secret}}]},
        lambda secret: {"steps": [{"type": "refusal", "content": f"because of {secret}"}]},
        lambda secret: {"steps": [{"type": secret[:60]}]},
    ],
    ids=["errors", "status", "error of an output", "unknown step", "content of an unknown step", "type of a step"],
)
async def test_a_run_that_is_read(secret: str, changes: object) -> None:
    assert callable(changes)
    run = await knowing_prompts(answering(200, interaction(**changes(secret)))).get("v1_Chd")
    assert MASK in texts_of(run)
    assert secret not in texts_of(run)
    assert KEY[3:20] not in texts_of(run)


async def test_the_prompt_is_learned_from_the_reply_itself() -> None:
    """After a restart with another config, the reply is the only place that still has the prompt."""
    given = {"type": "user_input", "content": [{"type": "text", "text": PROMPT}]}
    for body in (
        interaction(steps=[given], errors=[error_of(PROMPT)]),
        interaction(input=PROMPT, errors=[error_of(PROMPT)]),
        interaction(system_instruction=PROMPT, errors=[error_of(PROMPT)]),
    ):
        run = await provider(answering(200, body)).get("v1_Chd")
        assert run.errors == (f"blocked: refused: {MASK}",)


async def test_what_the_agent_says_itself_is_kept() -> None:
    steps = [{"type": "model_output", "content": f"You asked: {PROMPT}"}]
    run = await knowing_prompts(answering(200, interaction(steps=steps))).get("v1_Chd")
    assert PROMPT in run.steps[0].text
    assert PROMPT in run.result


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
async def test_a_launch_that_is_answered_with_its_own_prompt(secret: str) -> None:
    verdict = await provider(answering(200, interaction(status=secret[:60]))).create(order())
    assert isinstance(verdict, Launched)
    assert verdict.status == MASK


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
async def test_the_answer_to_a_cancel(secret: str) -> None:
    adapter = knowing_prompts(answering(200, interaction(status=secret[:60])))
    assert (await adapter.cancel("v1_Chd")).said == MASK
    refused = await knowing_prompts(answering(409, error_new("x", f"no: {secret}"))).cancel("v1_Chd")
    assert refused.said == f"HTTP 409: x: no: {MASK}"


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("call", ["get", "cancel", "discard", "follow"])
async def test_an_error(secret: str, call: str) -> None:
    adapter = knowing_prompts(answering(403, error_new("x", f"no: {secret}")))
    asked = anext(adapter.follow("v1_Chd")) if call == "follow" else getattr(adapter, call)("v1_Chd")
    with pytest.raises(ProviderError) as caught:
        await asked
    assert str(caught.value) == f"HTTP 403: x: no: {MASK}"


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
async def test_a_stream(secret: str) -> None:
    frames = [
        {"event_type": "interaction.status_update", "status": secret[:60]},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output", "error": error_of(secret)}},
        {"event_type": "step.start", "index": 1, "step": {"type": secret[:60]}},
        {"event_type": "step.stop", "index": 1},
    ]
    body = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode()
    events: list[StreamEvent] = [event async for event in knowing_prompts(answering(200, body)).follow("v1_Chd")]
    assert len(events) == len(frames)
    assert all(MASK in repr(event) for event in events)
    assert not [event for event in events if secret[:60] in repr(event)]


def test_a_redactor_knows_a_bounded_number_of_prompts() -> None:
    redact = Redactor(Secret(KEY))
    for number in range(MAX_HIDDEN + 1):
        redact.remember(f"prompt number {number:06d}, which nobody else may read")
    assert MASK not in redact("prompt number 000000, which")
    assert MASK in redact(f"prompt number {MAX_HIDDEN:06d}, which")


def test_what_is_remembered_later_is_masked_in_a_text_seen_before() -> None:
    redact = Redactor(Secret(KEY))
    assert redact(PROMPT) == PROMPT
    redact.remember(PROMPT)
    assert redact(PROMPT) == MASK


@pytest.mark.parametrize("offset", range(30))
def test_a_passage_is_masked_wherever_it_stands(offset: int) -> None:
    redact = Redactor(Secret(KEY), [PROMPT])
    assert redact("." * offset + PROMPT[7:31] + "?") == "." * offset + MASK + "?"
    assert redact("." * offset + KEY[5:17] + "?") == "." * offset + MASK + "?"
    assert redact("." * offset + PROMPT[7:30] + "?") == "." * offset + PROMPT[7:30] + "?"


WRITTEN = 'the merger\nwith Initech\ncloses on friday;\n"12 EUR" per share & more\nein schöner Tag'
ODD_KEY = "AIzaSyD-abc+def/ghi=jkl_MNO12345678"
FORMS = {
    "URL": lambda text: urllib.parse.quote(text, safe=""),
    "URL, lower case": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "URL with plus signs": urllib.parse.quote_plus,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON within JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "JSON, all escaped": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "HTML": html.escape,
    "HTML, all escaped": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of more": lambda text: base64.b64encode(f"x:{text}".encode()).decode().rstrip("="),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
    "capitals": str.upper,
    "one line": lambda text: " ".join(text.split()),
    "zero-width spaces between": "\u200b".join,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [ODD_KEY, WRITTEN], ids=["key", "prompt"])
def test_an_encoded_secret_is_masked_whole(form: Callable[[str], str], secret: str) -> None:
    redact = Redactor(Secret(ODD_KEY), [f"#context\n{WRITTEN}\nend."])
    assert redact(f"bad value: {form(secret)} (see the manual)") == f"bad value: {MASK} (see the manual)"


@pytest.mark.parametrize(
    "text",
    [
        "HTTP 404: not_found: no interaction dGhpcyBpcyBub3RoaW5nIHNlY3JldA== of project 123456789012345678",
        "The agent stopped after repeated tool failures (%41%20\\n&amp;\\u00f6).",
        "in_progress",
        "%",
        "\\u12 &#99999999; %zz",
        "&#1114112; \ud800 %ff%fe",
    ],
)
def test_a_text_without_a_secret_is_kept(text: str) -> None:
    assert Redactor(Secret(ODD_KEY), [WRITTEN])(text) == text


def test_what_one_reply_quotes_is_masked_in_this_reply_only() -> None:
    redact = Redactor(Secret(KEY), [PROMPT])
    more = redact.also_redacting(WRITTEN)
    assert more(f"{KEY} {PROMPT} {WRITTEN}") == f"{MASK} {MASK} {MASK}"
    assert redact(WRITTEN) == WRITTEN
    assert more.also_redacting(WRITTEN, PROMPT, "hi") is more
