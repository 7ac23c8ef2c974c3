"""The key is sent to https or loopback addresses only, and no id can lead to another path."""

from __future__ import annotations

import httpx
import pytest

from console.provider.http.address import escaped, service_root


@pytest.mark.parametrize(
    ("base", "root"),
    [
        ("https://generativelanguage.googleapis.com", "https://generativelanguage.googleapis.com/v1beta"),
        ("https://generativelanguage.googleapis.com/", "https://generativelanguage.googleapis.com/v1beta"),
        ("https://GW.example:8443/agents/", "https://gw.example:8443/agents/v1beta"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1beta"),
        ("http://127.9.8.7", "http://127.9.8.7/v1beta"),
        ("http://[::1]:9", "http://[::1]:9/v1beta"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]/v1beta"),
        ("https://10.0.0.1", "https://10.0.0.1/v1beta"),
    ],
)
def test_accepted(base: str, root: str) -> None:
    assert service_root(base, "v1beta") == root
    assert str(httpx.URL(root)) == root


@pytest.mark.parametrize(
    "base",
    [
        "http://localhost:8080",
        "http://localhost",
        "http://example.com",
        "http://10.0.0.1",
        "http://128.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.1",
        "http://[::ffff:127.0.0.1]",
        "http://[::]",
        "http://0.0.0.0",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "generativelanguage.googleapis.com",
        "//generativelanguage.googleapis.com",
        "",
        "https://",
        "https:///path",
        "https://user:secret@example.com",
        "https://example.com@evil.example",
        "https://example.com?key=1",
        "https://example.com#x",
        "https://exa mple.com",
        "https://example.com\\@evil.example",
        "https://example.com\n.evil.example",
        "https://exämple.com",
        "https://example.com:99999",
        "https://example.com:port",
        "https://[::1",
        "https://-a-",
    ],
)
def test_refused_with_one_clear_line(base: str) -> None:
    with pytest.raises(ValueError, match=r"base_url.*expected https://HOST, or http:// with a loopback") as caught:
        service_root(base, "v1beta")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("version", ["", "v1/../v2", "v1?x", ".", "..", "v 1", "x" * 40, "v1\n"])
def test_a_version_is_one_word(version: str) -> None:
    with pytest.raises(ValueError, match="api_version"):
        service_root("https://example.com", version)


@pytest.mark.parametrize(
    "opaque", ["v1_Chd", "a/b", "../../v1/x", "a?b=c", "a#b", "a%2Fb", "a b", "ü", "x:cancel", "a\r\nb", "\ud800"]
)
def test_an_id_stays_one_segment_of_the_path(opaque: str) -> None:
    url = httpx.URL(f"https://h.example/v1/interactions/{escaped(opaque)}/cancel")
    assert url.raw_path.startswith(b"/v1/interactions/")
    assert url.raw_path.endswith(b"/cancel")
    assert url.raw_path.count(b"/") == 4
    assert not url.query
    assert not url.fragment


@pytest.mark.parametrize("opaque", ["", ".", "..", "..."])
def test_what_cannot_be_an_id(opaque: str) -> None:
    with pytest.raises(ValueError, match="only dots"):
        escaped(opaque)
