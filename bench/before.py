"""The service's own code as it was before its log had a tree and signatures, out of the repository's history."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from .process import ROOT

BEFORE = "a290e87"
"""The last commit whose log was a chain only."""


def has_history() -> bool:
    """Whether that commit is there: a shallow clone and an unpacked archive lack it."""
    try:
        return (
            subprocess.run(["git", "cat-file", "-e", f"{BEFORE}^{{tree}}"], cwd=ROOT, capture_output=True, check=False).returncode
            == 0
        )
    except FileNotFoundError:
        return False


def extract_before(folder: Path) -> Path:
    """Its `app`, in *folder*, which must not be there yet."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", BEFORE, "app"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder
