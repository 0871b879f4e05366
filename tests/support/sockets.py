"""What the kernel knows of a connection on loopback."""

from __future__ import annotations

import socket
from pathlib import Path


def unread_bytes(connection: socket.socket) -> int:
    """Bytes that were sent on *connection* (IPv4) and not yet read by the process at its other end (proc(5), net/tcp)."""
    ends = [f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}" for host, port in _ends(connection)]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == ends[::-1]:
            return int(fields[4].partition(":")[2], 16)
    return 0


def _ends(connection: socket.socket) -> tuple[tuple[str, int], tuple[str, int]]:
    return connection.getsockname(), connection.getpeername()
