"""A log and its index for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ....support.indexed import Indexed


@pytest.fixture
def indexed(tmp_path: Path) -> Iterator[Indexed]:
    made = Indexed(tmp_path)
    yield made
    made.close()
