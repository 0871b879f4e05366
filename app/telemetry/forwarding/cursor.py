"""Up to where records were delivered: one small file, replaced durably after each batch."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ...errors import ConfigError
from ...kit.durable_files import replace_file


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last record that was delivered. *position*: its end, in bytes of the log."""

    position: int
    seq: int
    hash: str


BEGINNING = Cursor(0, -1, "")


class CursorFile:
    """Used by one process at a time: `with` locks it. Raises ConfigError where another has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def __enter__(self) -> Self:
        lock = self.path.with_name(f"{self.path.name}.lock")
        self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.__exit__(None, None, None)
            raise ConfigError(f"Another process forwards with {self.path}: end it, or give this one its own --name.") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._lock)

    def read(self) -> Cursor | None:
        """None: nothing was delivered yet. Raises ConfigError for a file that is none of ours."""
        try:
            found = json.loads(self.path.read_text("utf-8"))
            return Cursor(int(found["position"]), int(found["seq"]), str(found["hash"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{self.path} holds no cursor: restore it, or remove it to begin with the first record.") from None

    def write(self, cursor: Cursor) -> None:
        """Durable on return. Raises OSError."""
        replace_file(self.path, json.dumps(asdict(cursor)).encode() + b"\n")
