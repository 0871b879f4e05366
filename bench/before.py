"""The service's code at an earlier commit, taken from the repository's history."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from .process import ROOT

BEFORE = "a581cb1"
"""The last commit before the endpoints that ask were served without FastAPI's machinery."""


def has_history(revision: str = BEFORE) -> bool:
    """Whether *revision* is available: a shallow clone or an unpacked archive lacks it."""
    try:
        return (
            subprocess.run(
                ["git", "cat-file", "-e", f"{revision}^{{tree}}"], cwd=ROOT, capture_output=True, check=False
            ).returncode
            == 0
        )
    except FileNotFoundError:
        return False


def extract_before(folder: Path, revision: str = BEFORE) -> Path:
    """Extract `app` of *revision* into *folder*, which must not exist yet."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision, "app"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder
