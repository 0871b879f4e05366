"""The rate limiter's folder in memory, which a service leaves for the next one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from app.limits.shared_folder import SharedFolder
from app.limits.shared_window import WindowStorage, shared_window_url


class Clock:
    """Stands still between two settings of `now`."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def storage_at(folder: Path, clock: Any = time.monotonic) -> WindowStorage:
    return WindowStorage(f"window://{folder}/limits-1-test", clock=clock)


def window_folder(log: Path) -> Path:
    """Where services of *log* count."""
    return Path(shared_window_url(log).removeprefix("window://")).parent


def remove_windows(log: Path) -> None:
    """Remove the folder that services of *log* share."""
    folder = window_folder(log)
    if folder.is_absolute() and folder.name.startswith("secure-ai-assistant-"):  # never "." if the URL is not the expected one
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else can count meanwhile."""
    with closing(SharedFolder(folder)) as shared, shared:
        yield
