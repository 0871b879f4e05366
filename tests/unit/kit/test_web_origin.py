"""An origin has one spelling; only hosts that a browser makes up may be left open."""

from __future__ import annotations

import pytest

from app.kit.web_origin import is_origin_among, normal_origin

from ...support.tables import for_each


@for_each(
    ("value", "normal"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.com:443", "https://app.example.com"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://host:80", "https://host:80"),
        ("http://[::1]:5173", "http://[::1]:5173"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("app://obsidian.md", "app://obsidian.md"),
        ("app://.", "app://."),
        ("tauri://localhost", "tauri://localhost"),
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", "chrome-extension://abcdefghijklmnopabcdefghijklmnop"),
        ("moz-extension://*", "moz-extension://*"),
        ("vscode-webview://*", "vscode-webview://*"),
    ],
)
def test_an_origin_is_written_one_way(value: str, normal: str) -> None:
    assert normal_origin(value) == normal
    assert normal_origin(normal) == normal


@for_each(
    "value",
    [
        *("", "*", "null", "NULL", "example.com", "//example.com", "https://", "file://", "file:///"),
        *("https://*", "http://*", "https://*.example.com", "moz-extension://a*"),
        *("https://a.example/path", "https://a.example?x", "https://a.example#x", "https://me@a.example", "https://a b"),
        *("https://a.example:port", "https://a.example\n", "1app://x", "https://a\\b"),
    ],
)
def test_what_names_no_origin_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        normal_origin(value)
    assert not is_origin_among(value, ["https://a.example", "moz-extension://*", value])


def test_a_header_matches_whatever_its_case_and_default_port() -> None:
    allowed = ("https://a.example", "moz-extension://*")
    for value in ("https://a.example", "https://A.Example", "https://a.example:443", "moz-extension://0f3c-11"):
        assert is_origin_among(value, allowed), value
    for value in (
        "https://b.example",
        "http://a.example",
        "https://a.example:444",
        "https://a.example.evil.example",
        "chrome-extension://0f3c",
    ):
        assert not is_origin_among(value, allowed), value
