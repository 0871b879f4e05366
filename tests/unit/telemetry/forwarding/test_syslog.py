"""Syslog over TLS: messages of the RFC's form, and a batch that counts only once the receiver has closed in order."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.telemetry.forwarding.event import Event, NotDelivered
from app.telemetry.forwarding.syslog import BOM, Address, SyslogSender, framed, message_of

from ....support.certificates import Authority
from ....support.logged import every_action, records

MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (\S{1,255}) secure-ai-assistant - ([!-~]{1,32}) "
    rb'(\[record@32473(?: [a-z_]+="[^"\\\]]*")+\]) (.*)',
    re.DOTALL,
)


def events(*actions: str) -> list[Event]:
    return [Event(record, record.line) for record in records(*actions)]


def parsed(data: bytes) -> list[bytes]:
    """The messages of a stream that counts octets."""
    found = []
    while data:
        count, _, rest = data.partition(b" ")
        found.append(rest[: int(count)])
        data = rest[int(count) :]
    return found


@contextmanager
def receiver(tls: ssl.SSLContext | None, *, closes: bool) -> Iterator[tuple[int, list[bytes]]]:
    """One connection is read to its end, and closed in order or cut."""
    got = list[bytes]()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                stream = tls.wrap_socket(connection, server_side=True) if tls else connection
                while data := stream.recv(65536):
                    got.append(data)
                if closes and isinstance(stream, ssl.SSLSocket):
                    stream.unwrap()
                stream.close()
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], got
    finally:
        thread.join(30)
        listener.close()


def test_every_action_is_a_message_of_the_rfc() -> None:
    for event in events(*every_action()):
        found = MESSAGE.fullmatch(message_of(event, b"host"))
        assert found, event.record.action
        assert found[6] == BOM + event.body
        assert 13 * 8 <= int(found[1]) < 14 * 8


def test_octets_are_counted_not_characters() -> None:
    assert parsed(framed("é".encode()) + framed(b"a b")) == ["é".encode(), b"a b"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.in_folder(tmp_path_factory.mktemp("authority"))


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.path))


def test_a_receiver_that_closes_in_order_has_it_all(authority: Authority) -> None:
    sent = events("log.opened", "ask.received")
    with receiver(authority.server(), closes=True) as (port, got):
        SyslogSender(Address("127.0.0.1", port), trusting(authority)).send(sent)
    assert [message[-len(event.body) :] for message, event in zip(parsed(b"".join(got)), sent, strict=True)] == [
        event.body for event in sent
    ]


def test_a_receiver_that_is_cut_confirms_nothing(authority: Authority) -> None:
    trusted = trusting(authority)
    trusted.options |= ssl.OP_IGNORE_UNEXPECTED_EOF  # as Debian's Python has it
    with receiver(authority.server(), closes=False) as (port, _), pytest.raises(NotDelivered):
        SyslogSender(Address("127.0.0.1", port), trusted).send(events("log.opened"))


def test_without_confirmation_it_is_handed_over_and_forgotten(authority: Authority) -> None:
    with receiver(authority.server(), closes=False) as (port, _):
        SyslogSender(Address("127.0.0.1", port), trusting(authority), confirms=False).send(events("log.opened"))


def test_a_certificate_of_nobody_we_trust_gets_nothing(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.in_folder(tmp_path)
    with receiver(stranger.server(), closes=True) as (port, got), pytest.raises(NotDelivered, match="certificate"):
        SyslogSender(Address("127.0.0.1", port), trusting(authority)).send(events("log.opened"))
    assert got == []


def test_plain_tcp_waits_for_the_other_end_too() -> None:
    with receiver(None, closes=True) as (port, got):
        SyslogSender(Address("127.0.0.1", port), None).send(events("log.opened"))
    assert len(parsed(b"".join(got))) == 1


def test_nobody_there_confirms_nothing() -> None:
    with pytest.raises(NotDelivered, match="refused"):
        SyslogSender(Address("127.0.0.1", 1), None).send(events("log.opened"))
