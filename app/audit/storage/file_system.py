"""Whether the log stands on a file system whose locks hold: asked once at the start, of statfs(2)."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from ...errors import ConfigError

BUFFER_BYTES = 512
"""More than `struct statfs` takes on any machine; it begins with f_type, a C long."""

# The numbers are those of statfs(2) and linux/magic.h. On these a lock may be given to two machines at once: by a server that
# forgot its locks at a restart, by a client that keeps them to itself, by an oplock that is taken back. With two holders the
# chain forks; besides, a sync may be over before the server's disk has the bytes. FUSE and 9p are not in the list: what stands
# behind them may be sound (sandboxes give their local disk by 9p).
LOCKS_DO_NOT_HOLD = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x5346414F: "AFS",  # locks whole files for the one client only (OpenAFS)
    0x6B414653: "AFS",  # the kernel's own client
    0x564C: "NCP",  # NetWare's: like SMB
}


def verify_locks_hold(path: Path) -> None:
    """Raises ConfigError where *path* stands, or would be made, on a network file system. What cannot be asked is let through.

    Only Linux is asked: elsewhere the numbers mean other things, or nothing.
    """
    folder = next((one for one in (path.absolute(), *path.absolute().parents) if one.exists()), None)
    kind = None if folder is None else file_system_type(folder)
    name = LOCKS_DO_NOT_HOLD.get(-1 if kind is None else kind)
    if name is not None:
        raise ConfigError(
            f"AUDIT_LOG_PATH {path} is on a network file system ({name}), where file locks do not hold, so that two "
            "processes could write at once and the chain would fork: name a path on a disk of this machine."
        )


def file_system_type(path: Path) -> int | None:
    """The f_type of statfs(2), in 32 bits; None where there is no answer."""
    if sys.platform != "linux":
        return None
    buffer = ctypes.create_string_buffer(BUFFER_BYTES)
    try:
        if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), buffer) != 0:
            return None
    except (OSError, AttributeError):  # a C library without it
        return None
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
