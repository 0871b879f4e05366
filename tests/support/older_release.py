"""The code of an earlier commit, so that two releases run side by side."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from .optional import leave_out
from .paths import ROOT

FIRST_OF_MANY = "83730d58d653"
"""The first commit whose nodes share a ledger, clients and limits."""


def older_release(folder: Path, commit: str = FIRST_OF_MANY) -> str:
    """The folder for PYTHONPATH. Leaves the test out where git does not know *commit*."""
    archived = subprocess.run(["git", "archive", commit, "app"], cwd=ROOT, capture_output=True, check=False)
    if archived.returncode:
        leave_out(f"there is no commit {commit} here: clone the whole history")
    with tarfile.open(fileobj=BytesIO(archived.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return str(folder)
