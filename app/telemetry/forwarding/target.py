"""From a receiver's address to what sends to it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from ...errors import ConfigError
from .event import Sender
from .http_sender import JSON, PROTOBUF, HttpSender, json_array
from .syslog import Address, SyslogSender

KINDS = "otlp+https://HOST:4318, syslog+tls://HOST:6514 or https://HOST/PATH"
SYSLOG_PORT = 6514
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]*)")


@dataclass(frozen=True, slots=True)
class Trust:
    """Files, in PEM. None: the system's authorities; no certificate of our own."""

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises ConfigError."""
        try:
            context = ssl.create_default_context(cafile=str(self.authorities) if self.authorities else None)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"The certificates cannot be used: {error}.") from None
        return context


def open_sender(url: str, origin: str, trust: Trust, headers: Mapping[str, str], *, confirms: bool = True) -> Sender:
    """*origin*: the name of the log. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    try:
        httpx.URL(url)
    except httpx.InvalidURL:
        host = None
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"Name the receiver as {KINDS}, without a user; secrets go into --header-file.")
    kind, _, carrier = parts.scheme.rpartition("+")
    if kind == "syslog" and carrier in ("tls", "tcp"):
        tls = trust.context() if carrier == "tls" else None
        return SyslogSender(Address(host, port or SYSLOG_PORT), tls, confirms=confirms)
    if carrier not in ("http", "https") or kind not in ("", "otlp"):
        raise ConfigError(f"Name the receiver as {KINDS}.")
    if kind == "":
        return HttpSender(url, JSON, json_array, headers, trust.context())
    if find_spec("google") is None or find_spec("opentelemetry.proto") is None:
        raise ConfigError("OTLP needs the extra `otel`: install it, or forward by https or syslog.")
    from .otlp import PATH, encoder, report_rejected  # late: an extra

    path = parts.path.rstrip("/") or PATH
    return HttpSender(f"{carrier}://{parts.netloc}{path}", PROTOBUF, encoder(origin), headers, trust.context(), report_rejected)


def read_headers(file: Path | None) -> dict[str, str]:
    """One `Name: value` a line, but for empty lines and those with # first. Raises ConfigError."""
    if file is None:
        return {}
    found = dict[str, str]()
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        header = HEADER.fullmatch(line.strip())
        if header is None:
            raise ConfigError(f"Line {number} of {file} is no header: write each as Authorization: Bearer …")
        found[header[1]] = header[2]
    return found
