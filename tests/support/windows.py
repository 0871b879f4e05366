"""The rate limiter's folder in memory, which a service leaves for the next one."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.limits.shared_window import shared_window_url


def remove_windows(log: Path) -> None:
    """Remove the folder that services of *log* share."""
    folder = Path(shared_window_url(log).removeprefix("window://")).parent
    if folder.is_absolute() and folder.name.startswith("secure-ai-assistant-"):  # never "." if the URL is not the expected one
        shutil.rmtree(folder, ignore_errors=True)
