"""A small disk: a tmpfs in its own mount namespace, which ends with the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from .optional import leave_out


class SmallDisk:
    """A tmpfs of *kib* KiB at *place*, seen only by commands behind `prefix`: `with SmallDisk(folder / "audit") as disk`.

    *home*: the folder in which commands run; by default the one that holds *place*.
    """

    def __init__(self, place: Path, kib: int = 64, home: Path | None = None) -> None:
        self.place, self._kib, self._home = place, kib, home or place.parent
        place.mkdir(parents=True, exist_ok=True)
        self._alone = [] if os.geteuid() == 0 else ["--map-root-user"]

    def __enter__(self) -> Self:
        if not (shutil.which("unshare") and shutil.which("nsenter")):
            leave_out("unshare or nsenter is missing (Debian: apt-get install util-linux)")
        script = f'mount -t tmpfs -o size={self._kib}k tmpfs "$1" && echo mounted && exec cat'
        self._holder = subprocess.Popen(
            ["unshare", *self._alone, "--mount", "sh", "-c", script, "sh", str(self.place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout
        if self._holder.stdout.readline() != b"mounted\n":
            leave_out("this machine does not let us mount a small disk in a namespace of our own (unshare --mount failed)")
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate()  # cat ends with its input, and the namespace with it

    @property
    def prefix(self) -> list[str]:
        """Put this before a command that uses the disk."""
        own = ["--user", "--preserve-credentials"] if self._alone else []
        back = ["sh", "-c", 'cd "$0" && exec "$@"', str(self._home)]
        return ["nsenter", f"--target={self._holder.pid}", "--mount", *own, *back]

    def seen(self, name: str) -> Path:
        """The path of a file on the disk as seen from outside the namespace."""
        return Path(f"/proc/{self._holder.pid}/root{self.place}/{name}")

    def resize(self, kib: int) -> None:
        command = ["mount", "-o", f"remount,size={kib}k", str(self.place)]
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)

    def free_bytes(self) -> int:
        stat = os.statvfs(self.seen(""))
        return stat.f_bavail * stat.f_frsize
