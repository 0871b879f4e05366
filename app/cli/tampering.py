"""What an attacker with write access could do to a log; `demo` does it to a copy."""

from __future__ import annotations

from pathlib import Path

import orjson

from ..audit.format.record import Draft, line_of, parse_line


def change_word(log: Path, word: bytes, other: bytes) -> int:
    """Replace the first *word* by *other*, which is as long. Returns the number of the record."""
    data = log.read_bytes()
    at = data.index(word)
    log.write_bytes(data[:at] + other + data[at + len(word) :])
    return data.count(b"\n", 0, at)


def rehash(log: Path, first: int) -> None:
    """Compute the hashes of record *first* and all after it again, so that the chain is whole.

    This needs no secret. What it cannot renew are the signatures of the log key.
    """
    lines = log.read_bytes().splitlines(keepends=True)
    prev_hash = parse_line(lines[first])["prev_hash"]
    for seq in range(first, len(lines)):
        record = parse_line(lines[seq])
        draft = Draft(record["action"], record["user_id"], orjson.dumps(record["details"]), record["request_id"])
        lines[seq], prev_hash = line_of(draft, seq, record["timestamp"], prev_hash)
    log.write_bytes(b"".join(lines))
