"""The key is read from safe places only, appears nowhere, and is masked in texts from outside."""

from __future__ import annotations

import os
import pickle
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.text import is_sanitized
from console.provider.http.redaction import MASK, Redactor
from console.provider.http.secret import Secret
from tests.provider.examples import KEY, PROMPT


def test_a_secret_appears_in_no_text() -> None:
    secret = Secret(f"  {KEY}\n")
    assert secret.reveal() == KEY
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{[secret]}", "%s" % secret):  # noqa: UP031 - every way to print
        assert KEY not in shown
        assert MASK in shown
    assert not hasattr(secret, "__dict__")


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(KEY))


@pytest.mark.parametrize("value", ["", "   ", "two words", "line\nline", "tab\tin", "käse", "x" * 5000, "nul\0"])
def test_what_cannot_be_a_header_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        Secret(value)
    assert not value.strip() or value not in str(caught.value)


def test_from_env() -> None:
    assert Secret.from_env("K", {"K": KEY}).reveal() == KEY
    with pytest.raises(ValueError, match="variable K with the API key is not set"):
        Secret.from_env("K", {})
    with pytest.raises(ValueError, match="K: the API key is empty"):
        Secret.from_env("K", {"K": " "})


def _file(folder: Path, content: bytes = KEY.encode() + b"\n", mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_from_a_file_of_ours(tmp_path: Path, mode: int) -> None:
    assert Secret.from_file(_file(tmp_path, mode=mode)).reveal() == KEY


def test_from_a_file_in_the_home_folder(home: Path) -> None:
    _file(home)
    assert Secret.from_file(Path("~/key")).reveal() == KEY


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o644, 0o777])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ValueError, match=r"can be read by others.*chmod 600"):
        Secret.from_file(_file(tmp_path, mode=mode))


@pytest.mark.parametrize("content", [b"", b"\n", b"k\xc3\xa4se", b"a b", b"x" * 9000])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(ValueError, match="API key") as caught:
        Secret.from_file(path)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_not_a_regular_file_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ValueError, match="not a regular file"):
        Secret.from_file(tmp_path / "fifo")
    with pytest.raises(ValueError, match="not a regular file"):
        Secret.from_file(tmp_path)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        Secret.from_file(tmp_path / "absent")


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_path_of_a_key_file_is_shown_sanitized(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "no\x9b31m\x1b[0m\u202etxt.exe"
    folder.mkdir()
    for path in (_file(folder, b"a b", mode), folder / "absent"):
        with pytest.raises(ValueError, match=r"API key") as caught:
            Secret.from_file(path)
        assert is_sanitized(str(caught.value))


def test_a_redactor_masks_the_key_and_parts_of_it() -> None:
    redact = Redactor(Secret(KEY))
    assert redact(f"API key not valid: {KEY}.") == f"API key not valid: {MASK}."
    assert KEY[:14] not in redact(f"Bad key {KEY[:14]}...")
    assert KEY not in repr(redact)


def test_a_redactor_masks_passages_of_the_prompt() -> None:
    redact = Redactor(Secret(KEY)).also_redacting(PROMPT, "")
    assert redact(f"cannot use '{PROMPT}' here") == f"cannot use '{MASK}' here"
    assert redact(f"near '{PROMPT[10:50]}'") == f"near '{MASK}'"
    assert redact("nothing of it: errors of today") == "nothing of it: errors of today"
    assert PROMPT not in repr(redact)


def test_a_short_prompt_garbles_no_message() -> None:
    assert (
        Redactor(Secret(KEY)).also_redacting("hi")("this is what the service said") == "this is what the service said"
    )
    assert Redactor(Secret(KEY)).also_redacting("say hello")("no: say hello") == f"no: {MASK}"


@given(st.text(max_size=40), st.text(max_size=40))
def test_the_key_is_masked_in_any_text(before: str, after: str) -> None:
    assert KEY not in Redactor(Secret(KEY))(before + KEY + after)


def test_a_traceback_with_locals_does_not_show_the_key() -> None:
    secret = Secret(KEY)
    try:
        raise RuntimeError(f"with {secret}")
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert MASK in shown
    assert KEY not in shown.replace(repr(KEY), "")
