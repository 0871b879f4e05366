"""The file of the security log: mode 0600, opened again after a rotation."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from ..kit.descriptor import DescriptorOutput, NotWritten
from ..kit.durable_files import is_same_file

LOG = logging.getLogger("app.security")
MODE = 0o600
CREATE = "With logrotate, use `create 0600` and the user of this service"


class SecurityFile:
    """Blocks: for the thread that writes. A named pipe without a reader blocks even its opening."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._fd = -1
        self._lines = DescriptorOutput(-1)

    def write(self, lines: list[str]) -> None:
        """Raises NotWritten."""
        try:
            if self._fd >= 0 and not is_same_file(self._fd, str(self._path)):
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

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        self._lines = DescriptorOutput(self._fd)
        found = os.fstat(self._fd)
        if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) != MODE:
            self._make_private(found)

    def _make_private(self, found: os.stat_result) -> None:
        """Another program made it, such as logrotate. Its owner stays: commands may run as root."""
        mode, owner = stat.S_IMODE(found.st_mode), found.st_uid
        try:
            os.fchmod(self._fd, MODE)
        except OSError:
            what = f"others may read it: give it to uid {os.geteuid()} with mode 0600"
        else:
            what = "it has mode 0600 again"
        LOG.warning("The security log %s of uid %d had mode %04o; %s. %s.", self._path, owner, mode, what, CREATE)

    def _reason(self, error: OSError) -> str:
        if not isinstance(error, PermissionError):
            return error.strerror or str(error)
        try:
            found = self._path.stat()
        except OSError:
            return f"{error.strerror}, for uid {os.geteuid()}"
        owned = f"it belongs to uid {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}"
        return f"{owned}, and this service is uid {os.geteuid()}. {CREATE}"
