"""From stored lines to leaf hashes: new lines are hashed for the tree only if they chain."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from ...errors import AuditCorrupt
from ...kit.command import command
from ..format.record import HASH_TAIL, PREV_TAIL, LogEnd, split_lines
from ..storage.store import AuditStore

BATCH_RECORDS = 20_000
"""Most records that are read and hashed in one step: a tenth of a second."""
RESTORE = (
    f"Restore it from a backup that is newer than its signed checkpoint, or start another log with {command('init --new-log')}"
)


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaf hash of each line, the byte where each ends, and the end of the log after them."""

    hashes: list[bytes]
    ends: list[int]
    log_end: LogEnd


def read_leaves(store: AuditStore, start: LogEnd, durable: LogEnd, at_most: int) -> Leaves:
    """The leaves of up to *at_most* lines after *start*, and none after *durable*.

    A *durable* with the hash "" has only its number checked. Raises AuditCorrupt where lines do not
    chain, or end before *durable*.
    """
    end, seq, prev = start.size, start.seq, start.hash.encode()
    hashes: list[bytes] = []
    ends: list[int] = []
    # A hot loop, with the offsets and bytes of format/record.py inlined: every record passes it.
    for line in split_lines(store.chunks(durable.size, end)):
        digest = sha256(line[: -HASH_TAIL - 1]).hexdigest().encode()
        seq += 1
        tail = b',"prev_hash":"%b","hash":"%b"}\n' % (prev, digest)
        if line[-PREV_TAIL - 1 :] != tail or not line.startswith(b'{"v":1,"seq":%d,' % seq):
            raise AuditCorrupt(f"Record {seq} of the audit log does not follow the one before it. {RESTORE}.")
        prev = digest
        end += len(line)
        hashes.append(sha256(b"\x00" + line[:-1]).digest())  # merkle.leaf_hash
        ends.append(end)
        if seq == durable.seq or len(hashes) == at_most:
            break
    if seq == durable.seq and durable.hash not in ("", prev.decode()):
        raise AuditCorrupt(f"Record {seq} of the audit log is not the one that was written. {RESTORE}.")
    if seq < min(durable.seq, start.seq + at_most):
        raise AuditCorrupt(f"The audit log ends after record {seq}, but more records were durable. {RESTORE}.")
    return Leaves(hashes, ends, LogEnd(end, seq, prev.decode()))
