"""Headers come from the environment and are checked; nothing that is sent or told can be changed by them."""

from __future__ import annotations

import importlib.util

import pytest

from console.config.settings import OtelSettings
from console.tracing.receiver import MISSING, OtlpReceiver, is_installed, read_headers

USE = OtelSettings(endpoint="https://traces.example/v1/traces")
NAMED = OtelSettings(endpoint="https://traces.example/v1/traces", headers_env="TRACES")


def test_headers_are_those_of_opentelemetry_or_of_the_variable_that_the_config_names() -> None:
    environment = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1", "TRACES": "b=2"}
    assert read_headers(USE, environment) == {"a": "1"}
    assert read_headers(NAMED, environment) == {"b": "2"}
    assert read_headers(USE, {}) == {}


def test_values_are_decoded_and_blanks_around_them_dropped() -> None:
    text = " Authorization = Basic%20Zm9v%3D , x-a=k%2Cv,, "
    assert read_headers(NAMED, {"TRACES": text}) == {"Authorization": "Basic Zm9v=", "x-a": "k,v"}


@pytest.mark.parametrize(
    "text",
    [
        "canary",
        "=canary",
        "a b=canary",
        "a:=canary",
        "a=canary%0d%0ax: y",
        "a=canar\u00ff",
        "Host=canary",
        "content-type=canary",
        f"a={'canary' * 2000}",
    ],
)
def test_a_header_that_cannot_be_sent_is_named_by_its_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"header 2 in TRACES cannot be used; accepted: NAME=VALUE") as caught:
        read_headers(NAMED, {"TRACES": f"ok=1,{text}"})
    assert "canary" not in str(caught.value)


def test_a_variable_that_is_named_must_be_there() -> None:
    with pytest.raises(ValueError, match=r"variable TRACES, which otel\.headers_env names, is not set"):
        OtlpReceiver(NAMED, {})


def test_without_the_extra_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not is_installed()
    assert "extra `otel`" in MISSING
