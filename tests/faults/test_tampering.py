"""Files that a stranger changes under a running service: the short version of `python -m tests.faults tampering`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import tampering
from .strangers import PARTS, strangers


@pytest.mark.parametrize("part", PARTS)
def test_what_is_promised_for_a_changed_file_is_kept(tmp_path: Path, part: str) -> None:
    figures = tampering.tamper(tmp_path, part, workers=2, slack=10)
    assert figures.answers == len(list(strangers(part)))
