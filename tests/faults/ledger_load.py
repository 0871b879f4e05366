"""Writers of the ledger under faults, and what must hold of everything that they were told."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from app.audit.format.record import Receipt, draft, parse_line
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.errors import AuditCorrupt, AuditUnavailable

from ..support.checked import chain_report
from ..support.ledger import ROLE, new_ledger
from ..support.postgres_server import PostgresServer
from ..support.waiting import eventually

NODES, WRITERS = 2, 2
"""Writers of each node: as its processes, each has a store of its own."""
PAUSE_SECONDS = 0.02
"""After a refusal. A service waits a second."""


class Load:
    """Writers that append until they are stopped, and what became of each of their records."""

    def __init__(self, places: list[LedgerPlace]) -> None:
        self.acknowledged: dict[str, Receipt] = {}
        self.refused: set[str] = set()
        self.faults: Counter[str] = Counter()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._turns_refused = [0] * len(places)
        self._threads = [threading.Thread(target=self._write, args=each) for each in enumerate(places)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @classmethod
    def of(cls, *several: Load) -> Load:
        """What all of them were told."""
        found = cls([])
        for one in several:
            found.acknowledged |= one.acknowledged
            found.refused |= one.refused
        return found

    def stop(self) -> None:
        """Idempotent."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, records: int = 1) -> None:
        """Return once so many more are acknowledged."""
        wanted = len(self.acknowledged) + records
        eventually(lambda: len(self.acknowledged) >= wanted, f"nothing is acknowledged any more: {self.faults}")

    def wait_until_refused(self) -> None:
        """Return once each writer was refused again, so that all it was told before is counted."""
        before = list(self._turns_refused)
        eventually(lambda: all(now > then for now, then in zip(self._turns_refused, before, strict=True)))

    def _write(self, number: int, place: LedgerPlace) -> None:
        chance = random.Random()
        with closing(PostgresStore(place)) as store:
            while not self._stop.is_set():
                batch = [draft("log.alive", None, {"node": place.node}) for _ in range(chance.randint(1, 4))]
                ids = [record.request_id for record in batch]
                try:
                    receipts = append(store.append, batch)
                except (AuditUnavailable, AuditCorrupt) as error:
                    with self._lock:
                        self.refused.update(ids)
                        self.faults[error.detail[:90]] += 1
                        self._turns_refused[number] += 1
                    self._stop.wait(PAUSE_SECONDS)
                else:
                    with self._lock:
                        self.acknowledged.update(zip(ids, receipts, strict=True))


def check(place: LedgerPlace, load: Load, *, are_all_told: bool = True) -> int:
    """Every promise that was made to the writers; the number of records.

    *are_all_told*: no writer died before it could say what became of a record.
    """
    with closing(PostgresStore(place)) as store:
        end = store.durable()
        assert end is not None
        log = AuditLog(store)
        report = chain_report(log, list(load.acknowledged.values()))
        assert report.findings == []
        found = Counter(parse_line(line)["request_id"] for line in log.lines())
    twice = [one for one, times in found.items() if times > 1]
    assert twice == [], f"{len(twice)} records stand twice"
    lost = load.acknowledged.keys() - found.keys()
    assert lost == set(), f"{len(lost)} acknowledged records are lost"
    strangers = found.keys() - load.refused - load.acknowledged.keys()
    assert not are_all_told or strangers == {parse_line(next(log.lines()))["request_id"]}
    return report.entries


def places_of(url: str) -> list[LedgerPlace]:
    """Their servers have a standby only where a fault is about one."""
    numbers = [node for node in range(NODES) for _ in range(WRITERS)]
    return [LedgerPlace(url, node=f"node-{node}", incarnation=node, is_single_primary=True) for node in numbers]


@contextmanager
def begun(server: PostgresServer) -> Iterator[str]:
    """The name of a database whose ledger has its first record."""
    name = new_ledger(server)
    with closing(PostgresStore(LedgerPlace(server.url(name, ROLE)))) as store:
        AuditLog(store).create({"origin": "test"})
    yield name
