"""`doctor`: the log's locks, its key, and its end. `audit verify` reads all of it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..audit.evidence.published import PublishedCheckpoint
from ..audit.evidence.signed_log import SignedLog
from ..audit.evidence.stored_tree import StoredTree
from ..audit.format.record import EMPTY, MAX_LINE_BYTES, LogEnd, end_before, split_lines
from ..audit.storage.file_system import verify_locks_hold
from ..audit.storage.running import is_running
from ..audit.storage.store import AuditStore
from ..audit.verification.chain_check import ChainChecker
from ..kit.command import command
from ..kit.durable_files import open_to_read
from ..settings import Settings
from ..wiring.audit import open_store
from ..wiring.start_checks import checked_signer, verify_setup
from .doctor_findings import Finding, note, ok, trouble

END_BYTES = 8 << 20
"""So much of the log's end is read: at least 130 records."""
WAIT_SECONDS, PAUSE_SECONDS = 5.0, 0.05


def look_at_locks(settings: Settings) -> Iterator[Finding]:
    if settings.ledger is not None:  # see doctor_ledger.py
        return
    log = settings.audit_log_path
    verify_locks_hold(log)
    for name in (log.name + ".lock", log.name + ".sync"):
        if not _is_free_soon(log.with_name(name)):
            yield trouble(
                f"{log.with_name(name)} was locked for {WAIT_SECONDS:.0f} s: a process that writes the log stands still. "
                "`lslocks` names it; end it."
            )
            return
    running = "a service runs on this log" if is_running(log) else "no service runs on this log"
    yield ok(f"The locks of {log} hold and are free; {running}.")


def _is_free_soon(path: Path) -> bool:
    """Whether the lock is free within 5 s; writers hold it for milliseconds."""
    try:
        fd = open_to_read(path)
    except FileNotFoundError:
        return True
    try:
        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    return False
                time.sleep(PAUSE_SECONDS)
            else:
                return True
    finally:
        os.close(fd)


def look_at_key(settings: Settings) -> Iterator[Finding]:
    """Raises ConfigError, AuditCorrupt."""
    verify_setup(settings)
    with closing(checked_signer(settings)) as signer:
        yield ok(f"{settings.audit_key_path} is the key of {signer.key.name}.")


def look_at_end(settings: Settings) -> Iterator[Finding]:
    """Raises ConfigError, AuditCorrupt, EvidenceUnavailable."""
    verify_setup(settings)
    log, tree = (
        "The ledger in AUDIT_URL" if settings.ledger else settings.audit_log_path,
        StoredTree.beside(settings.audit_log_path),
    )
    with closing(checked_signer(settings)) as signer, closing(open_store(settings)) as store:
        if settings.ledger is not None:
            signer.verify_start()  # the database is not behind what this node has seen
        key = signer.key
        signed = PublishedCheckpoint(tree, key).current()
        is_intact = signed is None or SignedLog(store, tree, key).is_tree_intact(signed.checkpoint)
        lines, start = _last_lines(store)
    checker = ChainChecker(start=start)
    checker.feed(lines)
    chain = checker.report()
    if chain.findings:
        first = chain.findings[0]
        yield trouble(f"Record {first.seq} of {log}: {first.problem}. Run {command('audit verify')}, then see break-glass.md.")
    elif signed is None:
        yield note(f"{log} has no checkpoint yet: the service signs one when it runs.")
    elif signed.size > chain.last_seq + 1:
        yield trouble(
            f"{log} has {chain.last_seq + 1:,} records, and a checkpoint over {signed.size:,} was signed: its end was cut off. "
            "Restore it."
        )
    elif not is_intact:
        yield note(f"{tree.folder} is damaged: the service makes it again from the log when it runs.")
    else:
        yield ok(f"The last {chain.entries:,} records of {log} chain, and {signed.size:,} of {chain.last_seq + 1:,} are signed.")


def _last_lines(store: AuditStore) -> tuple[list[bytes], LogEnd]:
    """The last whole lines, and the end of the log before them."""
    size = store.size()
    at = max(0, size - END_BYTES)
    lines = list(split_lines(store.chunks(size, at)))
    if at == 0:
        return lines, EMPTY
    first, whole = lines[0], lines[1:]
    return whole, end_before(whole[0], at + len(first)) or EMPTY


def last_line(settings: Settings) -> bytes:
    """Raises OSError, EvidenceUnavailable."""
    with closing(open_store(settings)) as store:
        size = settings.audit_log_path.stat().st_size if settings.ledger is None else store.size()
        lines = list(split_lines(store.chunks(size, max(0, size - 2 * MAX_LINE_BYTES))))
    return lines[-1] if lines else b""
