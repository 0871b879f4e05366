"""From stored lines to leaf hashes, once the lines are seen to chain: what the notary signs over."""

from __future__ import annotations

from hashlib import sha256

from ...errors import AuditCorrupt
from ..format.record import HASH_TAIL, PREV_TAIL, LogEnd, split_lines
from ..storage.store import AuditStore

RESTORE = "Restore it from a backup that is newer than its signed head, or python -m app init --new-log starts another"


def read_leaves(store: AuditStore, start: LogEnd, durable: LogEnd, at_most: int) -> tuple[list[bytes], list[int], LogEnd]:
    """The leaf hashes of up to *at_most* lines after *start*, where they end, and the head then.

    *durable* says where to stop; its hash may be "", for any. Raises AuditCorrupt where the lines do not chain so far.
    """
    end, seq, prev = start.size, start.seq, start.hash.encode()
    leaves: list[bytes] = []
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
        leaves.append(sha256(b"\x00" + line[:-1]).digest())  # merkle.leaf_hash
        ends.append(end)
        if seq == durable.seq or len(leaves) == at_most:
            break
    if seq == durable.seq and durable.hash not in ("", prev.decode()):
        raise AuditCorrupt(f"Record {seq} of the audit log is not the one that was written. {RESTORE}.")
    if seq < min(durable.seq, start.seq + at_most):
        raise AuditCorrupt(f"The audit log ends after record {seq}, before where it was durable. {RESTORE}.")
    return leaves, ends, LogEnd(end, seq, prev.decode())
