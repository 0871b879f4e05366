"""What callers may occupy of one worker; docs/reference/limits.md has it as a table."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """For each worker. *proven*: the caller's credential was verified."""

    connections: int = 4096
    """Above it the one that waits longest without a request is closed, else the new one."""
    connections_per_address: int = 1024
    """An IPv6 /64 is one address. Proxies in TRUSTED_PROXIES are exempt."""
    guests: int = 32
    """Connections above `connections`: health is answered on them, all else is 503."""
    first_byte_seconds: float = 10
    head_seconds: float = 10
    body_seconds: float = 10
    """Until the caller is proven."""
    proven_body_seconds: float = 60
    least_body_rate: int = KIB
    """Bytes a second that the body of a proven caller must have come with after `body_seconds`."""
    idle_seconds: float = 75
    """Between two requests."""
    unread_seconds: float = 30
    """How long a caller may read nothing of an answer that waits for them."""
    head_bytes: int = 32 * KIB
    """Of a request line with its headers, of trailers, and of a chunk's extensions."""
    behind_bytes: int = 64 * KIB
    """Sent on one connection behind a request before its answer: then no more is read."""
    ignored_bytes: int = 256 * KIB
    """Read and ignored after a refusal, so that the caller can read it."""
    kept_bytes: int = 16 * MIB
    """Unfinished heads, and what waits behind a request, of all connections."""
    unread_bytes: int = 64 * MIB
    """Of answers that callers have not read: then the one that reads least is closed."""
    answer_bytes: int = 64 * MIB
    """Of large answers from the model's server to the caller; a principal takes what is free."""
    body_bytes: int = 48 * MIB
    """Bodies of all requests that are being answered."""
    body_bytes_each: int = 16 * MIB
    """Of one principal, and of all who are not proven together."""

    def within(self, descriptors: int) -> Bounds:
        """With room for a connection to a model's server beside each caller's, and our files."""
        room = max(8, (descriptors - self.guests - OWN_DESCRIPTORS) // 2)
        connections = min(self.connections, room)
        return replace(
            self,
            connections=connections,
            connections_per_address=min(self.connections_per_address, connections),
        )

    def for_bodies_of(self, size: int) -> Bounds:
        """With room for one body of *size* bytes of each of three principals."""
        each = max(self.body_bytes_each, size)
        return replace(self, body_bytes=max(self.body_bytes, 3 * each), body_bytes_each=each)


OWN_DESCRIPTORS = 64
"""The log, the database, the sockets and pipes of one worker."""


def raise_descriptor_limit() -> int:
    """Raise this process's soft limit to the hard one; the limit now. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
