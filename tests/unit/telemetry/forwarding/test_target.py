"""A receiver's address says how it is spoken to; what cannot be is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigError
from app.telemetry.forwarding import target
from app.telemetry.forwarding.http_sender import HttpSender
from app.telemetry.forwarding.syslog import SyslogSender
from app.telemetry.forwarding.target import Trust, open_sender, read_headers


@pytest.mark.parametrize(
    ("url", "kind", "where"),
    [
        ("https://siem.example/in", HttpSender, "https://siem.example/in"),
        ("otlp+http://127.0.0.1:4318", HttpSender, "http://127.0.0.1:4318/v1/logs"),
        ("otlp+https://otel.example/custom/logs", HttpSender, "https://otel.example/custom/logs"),
        ("syslog+tls://log.example", SyslogSender, ("log.example", 6514)),
        ("syslog+tcp://[::1]:601", SyslogSender, ("::1", 601)),
    ],
)
def test_each_kind_has_its_sender(url: str, kind: type, where: object) -> None:
    sender = open_sender(url, "log/1", Trust(), {})
    assert isinstance(sender, kind)
    assert getattr(sender, "_url", None) == where or getattr(sender, "_address", None) == where
    sender.close()


@pytest.mark.parametrize(
    "url",
    ["", "siem.example", "ftp://siem.example", "syslog://siem.example", "https://user:pw@siem.example", "https://", "otlp+tls://x",
     "https://siem.example/?token=x", "https://siem.example:99999/", "http://[::1", "https://a\x00b/"],
)  # fmt: skip
def test_anything_else_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="Name the receiver as") as refused:
        open_sender(url, "log/1", Trust(), {})
    assert "pw" not in refused.value.detail


def test_otlp_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="OTLP needs the extra `otel`"):
        open_sender("otlp+http://127.0.0.1:4318", "log/1", Trust(), {})


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    for trust in (Trust(tmp_path / "none.pem"), Trust(None, tmp_path / "none.pem")):
        with pytest.raises(ConfigError, match="The certificates cannot be used"):
            open_sender("syslog+tls://log.example", "log/1", trust, {})


def test_headers_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("# of the SIEM\n\nAuthorization: Bearer x:y\nX-Index:main\n")
    assert read_headers(tmp_path / "headers") == {"Authorization": "Bearer x:y", "X-Index": "main"}
    assert read_headers(None) == {}
    (tmp_path / "headers").write_text("Authorization: Bearer x\nno header\n")
    with pytest.raises(ConfigError, match=r"Line 2 of .* is no header") as refused:
        read_headers(tmp_path / "headers")
    assert "no header\n" not in refused.value.detail
