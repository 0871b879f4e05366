"""What the service tells of itself while a part of it is away."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from app.admin.breakers import list_breakers
from app.catalogue.rules import BreakerRules
from app.errors import Unavailable
from app.settings import Settings
from app.web.status import breakers_of
from app.wiring.breakers import shared_breakers

from ...support.service import free_port
from ...support.windows import remove_windows


def test_breakers_of_this_machine_are_shown_while_the_database_is_away(tmp_path: Path) -> None:
    log = tmp_path / "audit_log.jsonl"
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/away"
    settings = Settings.model_construct(audit_log_path=log, database_url=away, database_password_file=None)
    with shared_breakers(log) as opened, closing(opened("lab", BreakerRules())):
        with pytest.raises(Unavailable):
            list_breakers(settings)
        assert [one.server for one in breakers_of(settings)] == ["lab"]
    remove_windows(log)
