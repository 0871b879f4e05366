"""The ledger in PostgreSQL under faults: nothing acknowledged is lost or doubled, and the chain never forks."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psycopg

from app.audit.format.record import draft
from app.audit.storage.append import append
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.session import Row, Session, Statement, Value
from app.audit.storage.postgres.store import PostgresStore
from app.audit.storage.postgres.writer import BARRIER, Writer
from app.errors import AuditUnavailable

from ..support.cutting_proxy import HOW, CuttingProxy
from ..support.ledger import ROLE
from ..support.postgres_server import PASSWORD, PostgresServer
from ..support.waiting import eventually
from .figures import Figures
from .ledger_load import NODES, WRITERS, Load, begun, check, places_of


def _fault_after_fault(load: Load, rounds: int, fault: Callable[[], None], figures: Figures, chance: random.Random) -> None:
    for _ in range(rounds):
        load.wait_for_more()
        time.sleep(chance.uniform(0.0, 0.05))
        started = time.monotonic()
        fault()
        load.wait_for_more()
        figures.ready.append(time.monotonic() - started)


def _figures_of(figures: Figures, load: Load, place: LedgerPlace, started: float) -> Figures:
    figures.records, figures.answers = check(place, load), len(load.acknowledged)
    figures.seconds, figures.broken = time.monotonic() - started, len(load.refused)
    return figures


# --- the faults ----------------------------------------------------------------------------------


def kill_backends(folder: Path, *, rounds: int, seed: int | None = None) -> Figures:
    """kill -9 of a backend: the server ends all others, and recovers as after a crash."""
    chance, figures, started = random.Random(seed), Figures(0, 0, 0.0), time.monotonic()
    with PostgresServer(restart_after_crash="on", wal_writer_delay="10s") as server, begun(server) as name:

        def fault() -> None:
            with suppress(psycopg.Error), closing(server.connect(name)) as connection:
                found = connection.execute("SELECT pid FROM pg_stat_activity WHERE usename = %s", [ROLE]).fetchall()
                if found:
                    os.kill(chance.choice(found)[0], signal.SIGKILL)

        with Load(places_of(server.url(name, ROLE))) as load:
            _fault_after_fault(load, rounds, fault, figures, chance)
        server.wait_ready()
        return _figures_of(figures, load, LedgerPlace(server.url(name, ROLE)), started)


def cut_connections(folder: Path, *, rounds: int, seed: int | None = None) -> Figures:
    """At random moments, or in place of what one side says: also of the answer to a commit."""
    chance, figures, started = random.Random(seed), Figures(0, 0, 0.0), time.monotonic()
    with PostgresServer() as server, begun(server) as name, CuttingProxy(server.port) as proxy:
        through = server.url(name, ROLE).replace(f":{server.port}/", f":{proxy.port}/")
        with Load(places_of(through)) as load:
            for _ in range(rounds):
                time.sleep(chance.uniform(0.0, 0.03))
                how = chance.choice(HOW)
                eventually(lambda how=how: proxy.cut(chance, how))  # type: ignore[misc]
                started_at = time.monotonic()
                load.wait_for_more()
                figures.ready.append(time.monotonic() - started_at)
        figures.remarks.append(f"{proxy.cuts} connections cut")
        return _figures_of(figures, load, LedgerPlace(server.url(name, ROLE)), started)


class CrashBeforeBarrier(Session):
    """Calls *crash* between an append's return and its message, once, when it is armed."""

    armed = threading.Event()
    crash: Callable[[], None]

    def call(self, statement: Statement, *values: Value, seconds: float = 3.0) -> list[Row]:
        if statement is BARRIER and CrashBeforeBarrier.armed.is_set():
            CrashBeforeBarrier.armed.clear()
            CrashBeforeBarrier.crash()
        return super().call(statement, *values, seconds=seconds)


def crash_between(folder: Path, *, rounds: int) -> Figures:
    """The server crashes after the append, and is up again before the message: the records are gone.

    Nobody else writes, whose message would have made them durable.
    """
    figures, started, load, gone = Figures(0, 0, 0.0), time.monotonic(), Load([]), 0
    with PostgresServer(wal_writer_delay="10s") as server, begun(server) as name:
        place, last = (
            LedgerPlace(server.url(name, ROLE), node="n", incarnation=1, is_single_primary=True),
            "SELECT max(last_seq) FROM audit.batches",
        )

        def crash() -> None:
            nonlocal gone
            before = server.query(last, database=name)
            server.crash()
            server.start()
            gone += server.query(last, database=name) < before

        CrashBeforeBarrier.crash = staticmethod(crash)
        with closing(PostgresStore(place)) as store:
            store._writer = Writer(place, CrashBeforeBarrier)
            for _ in range(rounds):
                record, began = draft("log.alive", None, {}), time.monotonic()
                CrashBeforeBarrier.armed.set()
                try:
                    (load.acknowledged[record.request_id],) = append(store.append, [record])
                except AuditUnavailable:
                    load.refused.add(record.request_id)
                figures.ready.append(time.monotonic() - began)
        figures.remarks.append(f"the records were gone after {gone} of {rounds} crashes")
        return _figures_of(figures, load, place, started)


def fail_over(folder: Path, *, rounds: int) -> Figures:
    """The primary dies under load, and its synchronous standby takes over; then it gets a new one.

    Half of the times the standby did not answer before, and those who waited for it were cancelled:
    their commits are on the old primary alone.
    """
    figures, started, cancelled = Figures(0, 0, 0.0), time.monotonic(), 0
    with ExitStack() as servers:
        primary = servers.enter_context(PostgresServer())
        name = servers.enter_context(begun(primary))
        proxy = servers.enter_context(CuttingProxy(primary.port))
        url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{proxy.port}/{name}"
        with Load(places_of(url)) as load:
            for at in range(rounds):
                standby = servers.enter_context(primary.standby())
                load.wait_for_more(50)
                if at % 2:
                    cancelled += _cancel_waits(primary, standby)
                died = time.monotonic()
                primary.stop(signal.SIGQUIT)
                standby.promote()
                proxy.target = standby.port
                load.wait_for_more()
                figures.ready.append(time.monotonic() - died)
                primary = standby
        figures.remarks.append(f"{cancelled} waits for the standby cancelled before")
        return _figures_of(figures, load, LedgerPlace(primary.url(name, ROLE)), started)


def stall_standby(folder: Path, *, rounds: int) -> Figures:
    """The standby stops answering for longer than a writer waits: the log closes, and no backend is left waiting."""
    figures, started = Figures(0, 0, 0.0), time.monotonic()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND wait_event = 'SyncRep'"
    with PostgresServer() as primary, begun(primary) as name, primary.standby() as standby:
        with Load(places_of(primary.url(name, ROLE))) as load:
            for _ in range(rounds):
                load.wait_for_more()
                stalled, stopped = time.monotonic(), standby.children()
                for pid in stopped:
                    os.kill(pid, signal.SIGSTOP)
                load.wait_until_refused()
                ((count,),) = primary.query(waiting, ROLE)
                assert count <= 2 * NODES * WRITERS, f"{count} backends wait for the standby"
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
                load.wait_for_more()
                figures.ready.append(time.monotonic() - stalled)
        return _figures_of(figures, load, LedgerPlace(primary.url(name, ROLE)), started)


def _cancel_waits(primary: PostgresServer, standby: PostgresServer) -> int:
    """The primary dies after it has told so many writers that their commits are done, with a warning."""
    stopped = standby.children()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    cancelled = 0
    while cancelled < 5:
        cancelled += primary.cancel_waits()
    primary.stop(signal.SIGQUIT)
    standby.stop(signal.SIGKILL)
    for pid in stopped:  # and with them what the primary had sent, and nobody had read
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in stopped))
    standby.start()
    return cancelled
