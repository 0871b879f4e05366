"""The short form of the outage: a server that fails is asked little, and callers hear of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import outage


@pytest.mark.parametrize("mode", outage.MODES)
def test_an_outage_is_not_made_worse_and_ends_when_the_server_is_back(tmp_path: Path, mode: str) -> None:
    figures = outage.outage(tmp_path / "service", mode=mode, seconds=4, workers=2, is_timed=False)
    assert figures.answers == 4 * outage.RATE
