"""Which allocator `serve` runs on: jemalloc where it is installed, else glibc, set to keep less.

docs/decisions/0046-the-allocator.md says why; `python -m bench.allocators` measures.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from pathlib import Path

LIBRARY = "libjemalloc.so.2"
SETTINGS = {
    "MALLOC_CONF": "dirty_decay_ms:1000,muzzy_decay_ms:0",  # jemalloc: what is free for a second is given back
    "MALLOC_MMAP_THRESHOLD_": "65536",  # glibc: freed blocks above it are given back at once
}


def allocator_settings(environment: Mapping[str, str], library: str | None) -> dict[str, str]:
    """What to add to *environment* before the service starts. An operator's own choice stays."""
    wanted = SETTINGS | ({"LD_PRELOAD": library} if library else {})
    return {name: value for name, value in wanted.items() if name not in environment}


def find_jemalloc() -> str | None:
    """Where a distribution installs it. Runs no program, as ctypes.util.find_library does."""
    folders = ("/usr/local/lib", f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/lib64", "/usr/lib")
    return next((str(path) for path in (Path(folder, LIBRARY) for folder in folders) if path.is_file()), None)
