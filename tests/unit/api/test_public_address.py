"""The address of the service: the setting, or a Host header that is a host and a port, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.api.http_errors import MalformedHttp
from app.api.public_address import public_address

from ...support.http_request import SETTINGS, FakeApp, request_of
from ...support.tables import for_each


@pytest.mark.parametrize(
    "host",
    ["ai.example.com", "AI.example.com:8443", "127.0.0.1:1", "localhost:65535", "a_b-c.internal", "[::1]", "[2001:db8::7]:80"],
)
def test_a_host_and_maybe_a_port_make_the_address(host: str) -> None:
    request = request_of(headers={"Host": host}, app=FakeApp())
    assert public_address(request) == f"http://{host}"
    request.scope["scheme"] = "https"
    assert public_address(request) == f"https://{host}"


@for_each(
    "host",
    [
        *("", " ", "a b", "a:b", "a:", "a:0", "a:65536", "a:123456", ":80", "a:80:80", "[::1", "::1", "[]", "[::x]", "[::::]"),
        *("a/b", "a?b", "a#b", "me@a", 'a"', "a,b", "a\\b", "a\t", "\xfcber.example", "a" * 254, "a%41", "[fe80::1%25lo]", "a\n"),
    ],
)
def test_any_other_host_is_refused(host: str) -> None:
    with pytest.raises(MalformedHttp, match="Host"):
        public_address(request_of(headers={"Host": host}, app=FakeApp()))


def test_no_host_and_two_of_them_are_refused() -> None:
    for headers in ([], [("Host", "a"), ("Host", "a")]):
        with pytest.raises(MalformedHttp):
            public_address(request_of(headers=headers, app=FakeApp()))


def test_the_setting_counts_whatever_the_request_says() -> None:
    app = FakeApp()
    app.services.settings = SimpleNamespace(**{**vars(SETTINGS), "public_url": "https://ai.example.com/ai"})
    assert public_address(request_of(headers={"Host": "a b"}, app=app)) == "https://ai.example.com/ai"
