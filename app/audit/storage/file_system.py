"""Refuses a log on a file system whose locks do not hold: asked once at the start, of statfs(2).

On a network file system two machines may get one lock at once: from a server that forgot its locks
at a restart, from a client that keeps them to itself, or by an oplock that is taken back. With two
holders the chain forks. Also, a sync may return before the server's disk has the bytes.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ...errors import ConfigError

BUFFER_BYTES = 512
"""More than `struct statfs` needs on any machine; it begins with f_type, a C long."""

# From statfs(2) and linux/magic.h. FUSE and 9p are left out: the disk behind them may be sound,
# as in sandboxes that give their local disk by 9p.
LOCKS_DO_NOT_HOLD = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x5346414F: "AFS",  # OpenAFS: locks whole files, within one client only
    0x6B414653: "AFS",  # the kernel's own client
    0x564C: "NCP",  # NetWare: like SMB
}


def verify_locks_hold(path: Path) -> None:
    """Raises ConfigError where *path* is, or would be made, on a network file system.

    An unknown file system is accepted.
    """
    folder = next((one for one in (path.absolute(), *path.absolute().parents) if one.exists()), None)
    kind = None if folder is None else file_system_type(folder)
    name = None if kind is None else LOCKS_DO_NOT_HOLD.get(kind)
    if name is not None:
        raise ConfigError(
            f"AUDIT_LOG_PATH {path} is on a network file system ({name}), where file locks do not hold. Two "
            "processes could write at once and fork the chain: name a path on a disk of this machine."
        )


def file_system_type(path: Path) -> int | None:
    """The f_type of statfs(2), in 32 bits. None: unknown."""
    buffer = ctypes.create_string_buffer(BUFFER_BYTES)
    try:
        if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), buffer) != 0:
            return None
    except (OSError, AttributeError):  # a C library without it
        return None
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
