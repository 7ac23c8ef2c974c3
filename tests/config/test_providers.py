"""Providers by kind and name: which one a task uses, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.config import load
from console.domain.task import Fingerprint
from tests.config.files import CAPS, written
from tests.config.test_refusals import problems_of

TASK = '[[tasks]]\nname = "t"\nprompt = "p"\n'
TWO = '[provider]\n[providers.other]\naccount = "second"\nmodel = "gemini-3.7-flash"\npoll_seconds = 2\n'


def test_a_lone_provider_is_the_default(tmp_path: Path) -> None:
    settings = load(written(tmp_path, CAPS + TASK))
    assert list(settings.providers) == ["default"]
    assert settings.providers["default"].service == "gemini https://generativelanguage.googleapis.com v1beta"
    assert settings.tasks[0].provider == "default"


def test_a_fingerprint_with_the_default_provider_is_that_of_earlier_versions(tmp_path: Path) -> None:
    fields = Fingerprint.of(load(written(tmp_path, CAPS + TASK)).tasks[0]).as_fields()
    assert not {"provider", "environment"} & fields.keys()
    assert Fingerprint.from_fields(fields).provider == "default"


def test_tasks_choose_their_provider(tmp_path: Path) -> None:
    more = '[[tasks]]\nname = "u"\nprompt = "p"\nprovider = "other"\n'
    settings = load(written(tmp_path, TWO + CAPS + TASK + more))
    assert [(task.provider, task.model) for task in settings.tasks] == [
        ("default", "gemini-3.8-flash"),
        ("other", "gemini-3.7-flash"),
    ]
    assert settings.providers["other"].service.endswith("v1beta second")
    assert settings.providers["other"].poll_ms == 2_000
    one, other = map(Fingerprint.of, settings.tasks)
    assert "provider: default -> other" in one.differences(other)


def test_a_launch_through_a_trigger_is_chosen_by_the_provider_and_keeps_the_service(tmp_path: Path) -> None:
    """Runs that were launched directly belong to the same service."""
    trigger = load(written(tmp_path, '[provider]\nlaunch = "trigger"\n' + CAPS + TASK)).providers["default"]
    assert (trigger.launch, trigger.service) == (
        "trigger",
        "gemini https://generativelanguage.googleapis.com v1beta",
    )


def test_an_only_named_provider_needs_no_choice(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "[providers.mine]\n" + CAPS + TASK))
    assert list(settings.providers) == ["mine"]
    assert settings.tasks[0].provider == "mine"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[provider]\nkind = "telnet"\n' + CAPS + TASK, 'provider.kind is "telnet"; accepted: "gemini"'),
        ('[provider]\nlaunch = "soon"\n' + CAPS + TASK, 'provider.launch is "soon"; accepted: "direct" or "trigger"'),
        (
            '[provider]\nlaunch = "trigger"\nsandbox = "remote"\n' + CAPS + TASK,
            'provider.sandbox cannot be chosen with launch = "trigger"; accepted: "own"',
        ),
        (
            '[provider]\nlaunch = "trigger"\n' + CAPS + TASK + 'sandbox = "remote"\n',
            'accepted: launch = "trigger" gives each run a sandbox of its own',
        ),
        ("[providers.a]\nkind = 5\n" + CAPS + TASK, "providers.a.kind is 5; accepted:"),
        ("[providers.a]\nkey = 5\n" + CAPS + TASK, "providers.a.key is not a known key"),
        ('[providers."a b"]\n' + CAPS + TASK, "providers.a b is not a name"),
        ("[provider]\n[providers.default]\n" + CAPS + TASK, "providers.default is the same as [provider]"),
        ("[provider]\n[providers.other]\n" + CAPS + TASK, "providers.other is the same service as default"),
        (
            '[providers.a]\n[providers.b]\naccount = "b"\n' + CAPS + TASK,
            'tasks[1].provider is missing; accepted: "a", "b"',
        ),
        (
            CAPS + TASK + 'provider = "elsewhere"\n',
            'tasks[1].provider is "elsewhere", which does not exist; accepted: "default"',
        ),
        ("providers = 5\n" + CAPS + TASK, "providers is 5; accepted: tables such as [providers.name]"),
        (
            '[providers.a]\napi_key_file = "k"\napi_key_env = "K"\n' + CAPS + TASK,
            "providers.a.api_key_file is set as well as api_key_env",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert any(told in problem for problem in problems_of(tmp_path, text)), problems_of(tmp_path, text)
