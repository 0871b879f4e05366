"""The service's own code as it was at an earlier commit, out of the repository's history."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from .process import ROOT

BEFORE = "9d43d9f"
"""The last commit before the packages were laid out anew."""


def has_history(revision: str = BEFORE) -> bool:
    """Whether *revision* is there: a shallow clone and an unpacked archive lack it."""
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
    """The `app` of *revision*, in *folder*, which must not exist yet."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision, "app"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder
