"""The place of the log goes to the notary process as text, with or without a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.wiring.log_files import LogFiles

LEDGER = LedgerPlace("postgresql://a:secret@b/c", Path("/run/password"), "n1", 7, "postgresql://admin@b/c")


@pytest.mark.parametrize("ledger", [None, LEDGER, LedgerPlace("postgresql://b/c")])
def test_a_place_is_decoded_as_it_was_encoded(ledger: LedgerPlace | None) -> None:
    place = LogFiles(Path("/log"), Path("/key"), Path("/security"), 1_000, ledger)
    assert LogFiles.decode(place.encode()) == LogFiles.of(place) == place


def test_a_place_shows_no_password() -> None:
    assert "secret" not in repr(LogFiles(Path("/log"), Path("/key"), Path("/security"), 1_000, LEDGER))
