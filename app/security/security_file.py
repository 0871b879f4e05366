"""The file of the security log: mode 0600, opened again after a rotation."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from ..kit.descriptor import DescriptorOutput, NotWritten

LOG = logging.getLogger("app.security")
MODE = 0o600
CREATE = "logrotate makes it so with `create 0600` and this user"


class SecurityFile:
    """Blocks: for the thread that writes. A named pipe without a reader blocks even its opening."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._fd = -1
        self._lines = DescriptorOutput(-1)

    def write(self, lines: list[str]) -> None:
        """Raises NotWritten."""
        try:
            if self._fd >= 0 and not self._is_in_place():
                self.close()
            if self._fd < 0:
                self._open()
        except OSError as error:
            raise NotWritten(len(lines), self._reason(error)) from None
        self._lines.write(lines)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _is_in_place(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        self._lines = DescriptorOutput(self._fd)
        found = os.fstat(self._fd)
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISREG(found.st_mode) and (mode != MODE or found.st_uid != os.geteuid()):
            self._make_private(mode, found.st_uid)

    def _make_private(self, mode: int, owner: int) -> None:
        """Another program made it, such as logrotate. Say what it was, and what it is now."""
        try:
            os.fchmod(self._fd, MODE)
            os.fchown(self._fd, os.geteuid(), -1)
        except OSError:
            left = stat.S_IMODE(os.fstat(self._fd).st_mode)
            what = f"its mode is {left:04o} and others may read it: give it to uid {os.geteuid()} with mode 0600"
        else:
            what = f"it belongs to uid {os.geteuid()} with mode 0600 again"
        LOG.warning("The security log %s belonged to uid %d with mode %04o; %s. %s.", self._path, owner, mode, what, CREATE)

    def _reason(self, error: OSError) -> str:
        if not isinstance(error, PermissionError):
            return error.strerror or str(error)
        try:
            found = self._path.stat()
        except OSError:
            return f"{error.strerror}, for uid {os.geteuid()}"
        owned = f"it belongs to uid {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}"
        return f"{owned}, and this service is uid {os.geteuid()}; {CREATE}"
