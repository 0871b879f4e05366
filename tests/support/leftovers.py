"""What a test leaves behind: descriptors, threads, processes and files."""

from __future__ import annotations

import gc
import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TypeVar

from .paths import ROOT

MEMORY = Path("/dev/shm")
LOGS = str(ROOT / "logs")
LIMITER_FOLDERS = "secure-ai-assistant-"
CACHES = {".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".grimp_cache", "__pycache__"}
"""Made in the project's folder by the tools of the suite."""
USUAL_ENDING_SECONDS, ENDING_SECONDS = 0.1, 30.0
"""A thread or process that was asked to end takes about so long, and gets so long on a busy machine."""
SHARED_CHILDREN: set[int] = set()
SHARED_FILES: set[str] = set()
"""Of the servers that live as long as the suite: fixtures of the session enter theirs."""


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds now, or what is left of it."""

    descriptors: frozenset[tuple[int, str]]
    threads: frozenset[threading.Thread]
    children: frozenset[int]
    files: frozenset[str]

    @classmethod
    def now(cls, temporary: Path) -> Held:
        """*temporary*: the folder for temporary files, which no other process of the suite uses."""
        return cls(_descriptors(), frozenset(threading.enumerate()), _children(), _files(temporary))

    def __sub__(self, before: Held) -> Held:
        return Held(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(Held)))

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def without_sockets(self) -> Held:
        files = frozenset(one for one in self.descriptors if not one[1].startswith("socket:"))
        return Held(files, self.threads, self.children, self.files)

    def __str__(self) -> str:
        """One line for each thing."""
        lines = [f"descriptor {fd}: {target}" for fd, target in sorted(self.descriptors)]
        lines += [f"thread {thread.name}" for thread in self.threads]
        lines += [f"process {pid}: {_command(pid)}" for pid in sorted(self.children)]
        return "\n".join([*lines, *(f"file {name}" for name in sorted(self.files))])


def left_since(before: Held, temporary: Path, logs: Path, *, sockets: bool, earlier: frozenset[str] = frozenset()) -> Held:
    """What is there and was not before, once what is about to end has ended.

    *logs*: the folder of every log of this process, by which a limiter's folder is known as ours. *earlier*:
    the folders in it that earlier modules made. *sockets*: they count.
    """

    def left() -> Held:
        found = Held.now(temporary) - before
        others = {name for name in found.files if LIMITER_FOLDERS in name}
        if others:
            found = replace(found, files=found.files - (others - _limiter_folders(logs, earlier)))
        return found if sockets else found.without_sockets()

    found = _once_ended(left, USUAL_ENDING_SECONDS)
    if found:
        gc.collect()  # a reference cycle may hold a descriptor
        found = _once_ended(left)
    return found


def running_below(folder: Path) -> list[str]:
    """The processes whose current folder is below *folder*, once those that are about to end have ended."""

    def running() -> list[str]:
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()} - {os.getpid(), _tracker()}
        return [f"process {pid}: {_command(pid)}" for pid in sorted(pids) if _place(pid).startswith(f"{folder}/")]

    return _once_ended(running)


Found = TypeVar("Found", Held, list[str])


def _once_ended(look: Callable[[], Found], seconds: float = ENDING_SECONDS) -> Found:
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _place(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # it has ended, or is another user's
        return ""


def _descriptors() -> frozenset[tuple[int, str]]:
    """Without that of multiprocessing's resource tracker, which lives as long as this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except OSError:  # the one that listed them
            continue
    tracker = resource_tracker._resource_tracker._fd  # type: ignore[attr-defined]
    return frozenset(one for one in found if one[0] != tracker)


def _children() -> frozenset[int]:
    found = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children") as children:
                found |= {int(pid) for pid in children.read().split()}
        except OSError:  # the thread has ended
            continue
    return frozenset(found - SHARED_CHILDREN - {_tracker()})


def _tracker() -> int | None:
    """multiprocessing's process that lives as long as this one. It stays in the folder where a test first needed it."""
    return resource_tracker._resource_tracker._pid  # type: ignore[attr-defined,no-any-return]


def _files(temporary: Path) -> frozenset[str]:
    """In the places where a test may leave one by mistake; its own folder, `tmp_path`, is pytest's to remove."""
    found: frozenset[str] = frozenset()
    for folder in (str(temporary), str(ROOT), LOGS, str(MEMORY)):
        with suppress(FileNotFoundError):
            found |= _that_count(folder, tuple(os.listdir(folder)))
    return found - SHARED_FILES


@lru_cache(maxsize=16)  # they are nearly always those of the test before
def _that_count(folder: str, names: tuple[str, ...]) -> frozenset[str]:
    if folder == str(MEMORY):
        names = tuple(name for name in names if name.startswith(LIMITER_FOLDERS))
    return frozenset(f"{folder}/{name}" for name in names if name not in CACHES)


def _limiter_folders(logs: Path, earlier: frozenset[str]) -> set[str]:
    """Those of all logs that are, or may have been, below *logs*: app.limits.shared_folder names one by its log's path."""
    paths = set()
    for name in set(os.listdir(logs)) - earlier:
        for folder, _, files in os.walk(logs / name):
            paths |= {f"{folder}/{file}" for file in (*files, "logs/audit_log.jsonl") if file.endswith(".jsonl")}
    digests = (hashlib.sha256(os.fsencode(path)).hexdigest()[:16] for path in paths)
    return {f"{MEMORY}/{LIMITER_FOLDERS}{os.getuid()}-{digest}" for digest in digests}


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "ended"
    return words or "ended, and was not waited for"
