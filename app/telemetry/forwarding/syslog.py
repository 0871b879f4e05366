"""Records as syslog messages (RFC 5424), counted in octets (RFC 6587), over TLS (RFC 5425) or TCP.

Syslog confirms nothing. So each batch has a connection of its own, which is closed in order: a
receiver that closes its side too has read all of it. One that was cut has not, and gets it again.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple

from ..siem.ocsf import HIGH, LOW, MEDIUM
from .event import Event, NotDelivered

TIMEOUT_SECONDS = 30.0
LOG_AUDIT = 13
"""The facility."""
SEVERITY = {LOW: 4, MEDIUM: 3, HIGH: 2}
INFORMATIONAL = 6
APP = "secure-ai-assistant"
MOST_ID = 32
BOM = b"\xef\xbb\xbf"


class Address(NamedTuple):
    host: str
    port: int


class SyslogSender:
    """A Sender."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, *, confirms: bool = True) -> None:
        """*tls*: None for plain TCP. *confirms*: whether to wait until the receiver closes."""
        if tls is not None:  # as some builds of Python have it, a connection that is cut looks like one closed in order
            tls.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self._address, self._tls, self._confirms = address, tls, confirms
        self._host = socket.gethostname().encode("ascii", "replace")[:255] or b"-"

    def send(self, events: Sequence[Event]) -> None:
        data = b"".join(framed(message_of(event, self._host)) for event in events)
        try:
            with socket.create_connection(self._address, timeout=TIMEOUT_SECONDS) as plain:
                if self._tls is None:
                    plain.sendall(data)
                    self._await_end(plain)
                else:
                    with self._tls.wrap_socket(plain, server_hostname=self._address.host) as secure:
                        secure.sendall(data)
                        self._await_close_notify(secure)
        except OSError as error:  # ssl.SSLError is one
            raise NotDelivered(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        pass

    def _await_end(self, plain: socket.socket) -> None:
        plain.shutdown(socket.SHUT_WR)
        while self._confirms and plain.recv(4096):
            pass

    def _await_close_notify(self, secure: ssl.SSLSocket) -> None:
        """Raises OSError where the receiver's end of TLS does not come: then it was cut."""
        if self._confirms:
            secure.unwrap()


def framed(message: bytes) -> bytes:
    """RFC 6587, section 3.4.1."""
    return b"%d %b" % (len(message), message)


def message_of(event: Event, host: bytes) -> bytes:
    """RFC 5424, section 6. We have no enterprise number: 32473 is the one for examples."""
    record = event.record
    priority = LOG_AUDIT * 8 + SEVERITY.get(event.severity_id, INFORMATIONAL)
    data = f'[record@32473 seq="{record.seq}" hash="{record.hash}" request_id="{record.request_id}"]'
    head = f"<{priority}>1 {record.timestamp} ".encode() + host + f" {APP} - {record.action[:MOST_ID]} {data} ".encode()
    return head + BOM + event.body
