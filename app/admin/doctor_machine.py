"""`doctor`: the disk, the clock and the limits of this machine."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..audit.format.record import parse_line
from ..errors import EvidenceUnavailable
from ..limits.bounds import Bounds
from ..limits.shared_folder import MEMORY
from ..settings import Settings
from .doctor_findings import Finding, note, ok, trouble
from .doctor_log import last_line

LEAST_BYTES, FEW_BYTES = 256 << 20, 2 << 30
"""Free on the disk: less is trouble, or worth a note. A question takes 1 to 120 KiB of the log."""
LEAST_FILES = 1000
STEP_SECONDS = 5.0
TIMEX_BYTES = 512
"""More than `struct timex` needs on any machine; all zeros asks and sets nothing (adjtimex(2))."""
TIME_ERROR = 5
"""What adjtimex(2) returns while nothing keeps the clock right."""


def look_at_disk(settings: Settings) -> Iterator[Finding]:
    """Each disk once."""
    paths = (settings.audit_log_path, settings.database_path, settings.security_log_path)
    folders = {path.absolute().parent for path in paths if path is not None}
    for folder in {_disk_of(folder): folder for folder in sorted(folders, reverse=True)}.values():
        disk = os.statvfs(_nearest(folder))
        free, size = disk.f_bavail * disk.f_frsize, f"{disk.f_bavail * disk.f_frsize / (1 << 30):,.1f} GiB"
        if disk.f_flag & os.ST_RDONLY:
            yield trouble(f"The disk of {folder} is mounted read-only: nothing can be recorded. Mount it for writing.")
        elif free < LEAST_BYTES:
            yield trouble(f"The disk of {folder} has {size} left: without room no question is answered. Make room now.")
        elif disk.f_files and disk.f_favail < LEAST_FILES:
            yield trouble(f"The disk of {folder} takes only {disk.f_favail:,} more files: remove some.")
        elif free < FEW_BYTES:
            yield note(f"The disk of {folder} has {size} left: make room soon.")
        else:
            yield ok(f"The disk of {folder} has {size} left.")


def _nearest(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _disk_of(path: Path) -> int:
    return _nearest(path).stat().st_dev


def look_at_clock(settings: Settings) -> Iterator[Finding]:
    """Against the last record. Periods of budgets and the validity of tokens follow the clock."""
    now = datetime.fromtimestamp(time.time(), UTC)
    behind = (_last_time(settings) - now).total_seconds()
    if behind > STEP_SECONDS:
        yield trouble(f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC, {behind:,.0f} s before the last record: set it.")
    elif _is_unkept():
        yield note("The kernel says that nothing keeps the clock right: run an NTP client, or see that the host does.")
    else:
        yield ok(f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC, and no record is later.")


def _last_time(settings: Settings) -> datetime:
    """Of the last record; the earliest there is where it cannot be read."""
    try:
        return datetime.fromisoformat(parse_line(last_line(settings))["timestamp"])
    except (EvidenceUnavailable, OSError, ValueError, KeyError, TypeError):
        return datetime.min.replace(tzinfo=UTC)


def _is_unkept() -> bool:
    try:
        return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)) == TIME_ERROR)
    except (OSError, AttributeError):  # a C library without it
        return False


def look_at_limits(settings: Settings) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room, usual = Bounds().within(hard).connections, Bounds().connections
    if room < usual:
        yield note(f"A worker takes {room:,} connections instead of {usual:,}: raise the hard limit of open files (ulimit -Hn).")
    if not os.access(MEMORY, os.W_OK):
        yield note(f"{MEMORY} is missing or cannot be written: requests are counted on disk, which may be slower.")
    if room >= usual and os.access(MEMORY, os.W_OK):
        yield ok(f"A worker takes {room:,} connections, and counts requests in memory.")
