"""Whether a service runs on this log."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..limits.shared_window import SCHEME, shared_window_url


def is_served(name: Path) -> bool:
    """Whether a process of this machine counts for *name* now, which every worker does as long as it serves."""
    folder = Path(shared_window_url(name).removeprefix(f"{SCHEME}://")).parent
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.rmdir()
    except BlockingIOError:
        return True
    except OSError:  # what a killed service left in it
        return False
    else:
        return False
    finally:
        os.close(fd)
