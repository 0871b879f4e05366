"""Servers are tried by a connection, with TLS where they have it, and nothing is asked."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from app.admin.doctor_findings import Finding
from app.admin.doctor_servers import look, look_at_breakers
from app.catalogue.models import Catalogue, ModelEntry, Server
from app.catalogue.rules import BreakerRules
from app.settings import load_settings
from app.upstream import pool
from app.upstream.resilience.breaker import Outcome
from app.wiring.breakers import shared_breakers

from ...support.caps import CAPS
from ...support.installation import LOG, install
from ...support.nginx import make_certificate
from ...support.windows import remove_windows


def found(*urls: str | None, langchain: str | None = None) -> list[Finding]:
    servers = [Server(f"s{number}", url, "", langchain=langchain) for number, url in enumerate(urls)]
    return list(look(Catalogue({one.name: ModelEntry(one.name, "m", one) for one in servers}, CAPS, {}, frozenset())))


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A port that takes one connection, and what came on it."""
    received: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            taken, _ = listener.accept()
            with taken:
                taken.settimeout(10)
                wrapped = context.wrap_socket(taken, server_side=True) if context else taken
                received.append(wrapped.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], received
        thread.join()


def test_a_server_that_takes_connections_is_well_and_gets_no_byte() -> None:
    with listening() as (port, received):
        (finding,) = found(f"http://127.0.0.1:{port}/v1")
    assert finding == Finding("ok", f"Server s0 at 127.0.0.1 port {port} takes connections.")
    assert received in ([b""], [])


def test_each_server_is_tried_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        assert [finding.state for finding in found(url, "http://127.0.0.1:1/v1")] == ["ok", "trouble"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/v1", "takes no connection (Connection refused): see whether it runs"),
        ("http://no-such-host.invalid/v1", "has no address ("),
    ],
)
def test_a_server_that_takes_none_is_trouble(url: str, said: str) -> None:
    (finding,) = found(url)
    assert (finding.state, said in finding.says) == ("trouble", True), finding


def test_a_certificate_that_is_not_accepted_is_trouble(tmp_path: Path) -> None:
    make_certificate(tmp_path, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "tls.pem", tmp_path / "tls.key")
    with listening(context) as (port, _):
        (finding,) = found(f"https://127.0.0.1:{port}/v1")
    assert (finding.state, "has a certificate that is not accepted (" in finding.says) == ("trouble", True), finding


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and says nothing of TLS
        (finding,) = found(f"https://127.0.0.1:{silent.getsockname()[1]}/v1")
    assert "takes no connection within" in finding.says


def test_a_server_whose_address_langchain_knows_is_not_tried() -> None:
    assert [finding.state for finding in found(None, langchain="anthropic")] == ["note"]


def test_a_server_that_is_left_alone_is_worth_a_note(place: Path) -> None:
    install()
    (finding,) = look_at_breakers(load_settings())
    assert finding.state == "ok"
    with shared_breakers(LOG) as opened, closing(opened("lab", BreakerRules(failures=1, open_seconds=60))) as breaker:
        breaker.leave(breaker.enter(), Outcome.BAD)
        (finding,) = look_at_breakers(load_settings())
    remove_windows(LOG)
    assert finding.state == "note"
    assert finding.says.startswith("Server lab is not asked for ")
    assert "after 1 failure(s) in a row: python -m app breaker close lab asks it at once." in finding.says
