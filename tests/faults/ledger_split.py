"""A standby is promoted while the primary that it replaces lives on: a partition, seen from both sides."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.audit.storage.postgres.writer import GIVE_UP_SECONDS
from app.errors import EvidenceUnavailable

from ..support.cutting_proxy import CuttingProxy
from ..support.ledger import ROLE
from ..support.postgres_server import PASSWORD, PostgresServer
from .figures import Figures
from .ledger_load import WRITERS, Load, begun, check


class Side:
    """The writers of one node, and the server that its name of the database leads to."""

    def __init__(self, opened: ExitStack, database: str, node: str, server: PostgresServer) -> None:
        self._proxy = opened.enter_context(CuttingProxy(server.port))
        url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self._proxy.port}/{database}"
        self.load = opened.enter_context(Load([LedgerPlace(url, node=node, incarnation=1, is_single_primary=True)] * WRITERS))

    def lead_to(self, server: PostgresServer) -> None:
        """Its name server has another entry from now on."""
        self._proxy.lead_to(server.port)

    def verify_none_is_acknowledged(self, seconds: float = 2 * GIVE_UP_SECONDS) -> int:
        """Its writers are refused for so long; how many records were."""
        refused = len(self.load.refused)
        self.load.wait_until_refused()
        acknowledged = len(self.load.acknowledged)
        time.sleep(seconds)
        assert len(self.load.acknowledged) == acknowledged, "acknowledged by a server that was replaced"
        return len(self.load.refused) - refused


def split(folder: Path, *, rounds: int, seconds: float = 2 * GIVE_UP_SECONDS) -> Figures:
    """*rounds* times: one node stays with the old primary, one goes to the new one, to the old one and to the new one again.

    Nobody is told that the old one has a record, and who has seen the new one not even where the old one waits for no standby.
    """
    figures, started, old_side, back = Figures(0, 0, 0.0), time.monotonic(), 0, 0
    for _ in range(rounds):
        with ExitStack() as opened:
            old = opened.enter_context(PostgresServer())
            database = opened.enter_context(begun(old))
            stays, goes = (Side(opened, database, name, old) for name in ("stays", "goes"))
            new = opened.enter_context(old.standby())
            for side in (stays, goes):
                side.load.wait_for_more(20)
            new.promote()
            promoted = time.monotonic()
            goes.lead_to(new)
            goes.load.wait_for_more(20)
            figures.ready.append(time.monotonic() - promoted)
            old_side += stays.verify_none_is_acknowledged(seconds)
            _verify_nothing_new_is_durable(old, database)
            goes.lead_to(old)
            back += goes.verify_none_is_acknowledged(seconds)
            stays.load.stop()
            old.reload(synchronous_standby_names="")  # by mistake: from now on it waits for nobody
            back += goes.verify_none_is_acknowledged(seconds)
            goes.lead_to(new)
            goes.load.wait_for_more(20)
            goes.load.stop()
            told = Load.of(stays.load, goes.load)
            figures.records += check(LedgerPlace(new.url(database, ROLE)), told)
            figures.answers += len(told.acknowledged)
            figures.broken += len(told.refused)
    figures.remarks.append(f"refused: {old_side} records of who stayed, {back} of who came back to the old primary")
    figures.seconds = time.monotonic() - started
    return figures


def _verify_nothing_new_is_durable(old: PostgresServer, database: str) -> None:
    """Lines that wait for the standby are there to see, and to be neither signed nor shown."""
    with closing(PostgresStore(LedgerPlace(old.url(database, ROLE)))) as store, pytest.raises(EvidenceUnavailable):
        store.durable()
