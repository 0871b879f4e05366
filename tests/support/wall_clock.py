"""A wall clock that a test sets under running processes, by libfaketime."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from .optional import leave_out
from .postgres_server import PostgresServer

CACHED_SECONDS = 1
"""How long libfaketime uses an offset before it reads it again: its least."""

# libfaketime 0.9.10 takes the monotonic deadline of time.sleep for wall clock time.
SLEEP = "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds) and None"


class Clock:
    """Shifts the wall clock of commands behind `prefix` by the offset in a file. The monotonic clock is not changed."""

    def __init__(self, folder: Path) -> None:
        faketime = shutil.which("faketime")
        if faketime is None:
            leave_out("there is no libfaketime, so no clock was set under a running service (Debian: apt-get install faketime)")
        (folder / "site").mkdir()
        (folder / "site/sitecustomize.py").write_text(SLEEP)
        self._file = folder / "clock"
        self.set(0)
        library = subprocess.run([faketime, "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, timeout=30)
        self.env = {
            "LD_PRELOAD": library.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(CACHED_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(folder / "site"),
        }

    @property
    def prefix(self) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in self.env.items())]

    def set(self, seconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._file)


class ClockedPostgres(PostgresServer):
    """All its processes have the clock `clock`."""

    def __init__(self) -> None:
        super().__init__()
        try:
            self.clock = Clock(self.folder)
        except BaseException:  # without libfaketime the test is left out
            self.close()
            raise

    def _as_user(self) -> dict[str, Any]:
        given = super()._as_user()
        given["env"] |= {name: value for name, value in self.clock.env.items() if name != "PYTHONPATH"}
        given["env"]["FAKETIME_NO_CACHE"] = "1"  # so that all processes see a step at once
        return given
