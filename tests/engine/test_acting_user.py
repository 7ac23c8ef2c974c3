"""The user name recorded with an action comes from the user id; the environment can add to it but not replace it."""

from __future__ import annotations

import os
import pwd

import pytest

from console.engine.acting_user import Actor, acting_user

NAME = pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    "environment", [{}, {"LOGNAME": "the-boss", "USER": "the-boss"}, {"SUDO_USER": ""}, {"SUDO_USER": NAME}]
)
def test_the_user_id_decides_the_name(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert acting_user(environment, has_terminal=True) == f"{NAME} tty=yes"
    assert acting_user(environment, has_terminal=False) == f"{NAME} tty=no"


def test_sudo_adds_the_sanitized_name_of_the_caller() -> None:
    assert acting_user({"SUDO_USER": "alice\x1b[31m"}, has_terminal=True) == f"{NAME} (sudo by alice␛[31m) tty=yes"


def test_a_user_id_without_a_passwd_entry_is_recorded_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_123_456)
    assert acting_user({}, has_terminal=False) == "4123456 tty=no"


def test_what_others_say_stands_beside_the_name_and_never_in_its_place() -> None:
    environment = {
        "LOGNAME": "the-boss",
        "SSH_CONNECTION": "10.0.0.5 50000 10.0.0.1 22",
        "NIGHTDESK_OPERATOR": "Alice (root); tty=no",
    }
    assert acting_user(environment, has_terminal=True) == f"{NAME} (from 10.0.0.5; says: Alice root tty=no) tty=yes"


def test_what_was_recorded_splits_into_its_parts() -> None:
    environment = {"SUDO_USER": "alice", "SSH_CONNECTION": "10.0.0.5 50000 10.0.0.1 22", "NIGHTDESK_OPERATOR": "Al B."}
    found = Actor.parse(acting_user(environment, has_terminal=False))
    assert found == Actor(user=NAME, sudo_by="alice", address="10.0.0.5", says="Al B.", has_terminal=False)
    assert Actor.parse("ben tty=yes") == Actor(user="ben", has_terminal=True)
    assert Actor.parse("nightdesk scheduler") == Actor(user="nightdesk scheduler")
