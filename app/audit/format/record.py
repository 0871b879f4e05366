"""The audit record: its members, its exact bytes, its hash.

A record is one line of JSON. Its hash covers the bytes that are stored, so the members have one
order and no spaces: `v, seq, timestamp, request_id, user_id, action, details, prev_hash, hash`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from .shortening import Texts, shorten

MAX_LINE_BYTES = 60 * 1024
"""A stored line with its newline. An entry of a C2SP tile bundle may have 65,535 bytes."""
MAX_DETAILS_BYTES = MAX_LINE_BYTES - 640  # all other members together stay under 640 bytes
GENESIS_HASH = "0" * 64
USER_ID = re.compile(r"[A-Za-z0-9_-]{3,32}")
_USER_ID_BYTES = USER_ID.pattern.encode()
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")

# Only these know the bytes too: verification/chain_check, evidence/leaves, storage/postgres/schema.
HASH_TAIL = 75  # ,"hash":"<64 hex>"}
PREV_TAIL = HASH_TAIL + 79  # ,"prev_hash":"<64 hex>" comes right before the hash
PREFIX = re.compile(
    rb'\{"v":1,"seq":(\d{1,19}),"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","request_id":"[0-9a-f]{32}",'
    rb'"user_id":(?:null|"' + _USER_ID_BYTES + rb'"),"action":"([a-z]+\.[a-z_]+)","details":\{(?:"received":(\d{1,19}),)?'
)
"""Groups: the number, the action, and the number of the question that this record is about."""
_SEQ = re.compile(rb'\{"v":1,"seq":(\d{1,19}),')
_USER = re.compile(
    rb'\{"v":1,"seq":\d{1,19},"timestamp":"[^"]{27}","request_id":"[0-9a-f]{32}","user_id":"(' + _USER_ID_BYTES + rb')"'
)
_PREV_HASH = re.compile(rb',"prev_hash":"([0-9a-f]{64})","hash":"[0-9a-f]{64}"\}\n?\Z')
_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n?\Z')

ACTIONS = frozenset(
    {
        *("log.opened", "log.recovered", "log.resumed", "log.alive", "log.clock_stepped", "log.tree_rebuilt", "log.imported"),
        *("client.added", "client.disabled", "client.enabled", "client.rotated", "client.roles_set", "database.replaced"),
        *("client.settings_set", "client.secret_added", "client.secret_removed", "key.added", "key.revoked", "key.expired"),
        *("token.issued", "token.revoked", "policy.changed", "breaker.closed", "budget.added", "budget.reset"),
        *("ask.received", "ask.answered", "ask.failed", "ask.refused", "ask.attempted"),
        *("request.refused", "request.refused_summary", "audit.read", "worker.replaced", "budget.settled", "budget.released"),
    }
)
"""The closed list: subject.event. A new meaning gets a new name; an old name keeps its meaning."""
ENDS = frozenset({b"ask.answered", b"ask.failed", b"ask.refused"})
"""Those that end a question. Others may name one that goes on."""


class Receipt(NamedTuple):
    """Names one record: its number and its SHA-256 (64 lower-case hex digits)."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of the log: its length in bytes, the last record's number (-1: none yet) and hash."""

    size: int
    seq: int
    hash: str


EMPTY = LogEnd(size=0, seq=-1, hash=GENESIS_HASH)


def new_request_id() -> str:
    """128 random bits in hex. Each record has such an id, so its leaf hash cannot be guessed."""
    return os.urandom(16).hex()


class Draft(NamedTuple):
    """A record without a number. *details* is JSON already: nothing can fail under the lock."""

    action: str
    user_id: str | None
    details: bytes
    request_id: str


def draft(action: str, user_id: str | None, details: Mapping[str, Any], request_id: str | None = None) -> Draft:
    """Check and encode a record. Too long details are shortened (shortening.py).

    Raises ValueError for an unknown action, a bad id, or details that are not JSON.
    """
    record = whole_draft(action, user_id, details, request_id)
    return record if len(record.details) <= MAX_DETAILS_BYTES else fitting(record)[0]


def whole_draft(action: str, user_id: str | None, details: Mapping[str, Any], request_id: str | None = None) -> Draft:
    """`draft` without shortening: if the details are too long for a line, call `fitting` next."""
    if action not in ACTIONS:
        raise ValueError(f"unknown audit action {action!r}: the closed list is ACTIONS in record.py")
    if user_id is not None and not USER_ID.fullmatch(user_id):
        raise ValueError("a record's user_id is a proven user id or None")
    if request_id is None:
        request_id = new_request_id()
    elif not _REQUEST_ID.fullmatch(request_id):
        raise ValueError("a record's request_id is 32 hex digits")
    try:
        return Draft(action, user_id, orjson.dumps(details), request_id)
    except TypeError as error:
        raise ValueError(f"details are not JSON: {error}") from None


def fitting(record: Draft) -> tuple[Draft, Texts]:
    """The record with details that fit into a line, and what was replaced by digests."""
    details, texts = shorten(record.details, MAX_DETAILS_BYTES)
    return record._replace(details=details), texts


def body_of(record: Draft) -> bytes:
    """What a stored line holds between its timestamp and the hash of the record before it."""
    user = "null" if record.user_id is None else f'"{record.user_id}"'
    what = f',"request_id":"{record.request_id}","user_id":{user},"action":"{record.action}","details":'
    return what.encode() + record.details


def line_of(record: Draft, seq: int, timestamp: str, prev_hash: str) -> tuple[bytes, str]:
    """The stored line, with its newline, and its hash: the SHA-256 of all bytes before it."""
    body = b'{"v":1,"seq":%d,"timestamp":"%b"%b,"prev_hash":"%b"' % (seq, timestamp.encode(), body_of(record), prev_hash.encode())
    digest = hashlib.sha256(body).hexdigest()
    return b'%b,"hash":"%b"}\n' % (body, digest.encode()), digest


def line_ending(digest: str, prev_hash: str | None = None) -> bytes:
    """The last bytes of the line of a record whose hash is *digest*, with its newline.

    With *prev_hash* they begin at that member.
    """
    prev = b"" if prev_hash is None else b',"prev_hash":"%b"' % prev_hash.encode()
    return b'%b,"hash":"%b"}\n' % (prev, digest.encode())


# --- reading a stored line: with or without its newline; nothing is verified --------------------


def parse_line(line: bytes) -> dict[str, Any]:
    """The record of a stored line, for display. Raises ValueError when it is not a JSON object."""
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("a record is a JSON object")
    return record


def details_of(line: bytes) -> dict[str, Any]:
    """The details of a stored line. Empty if they cannot be read."""
    try:
        details = parse_line(line).get("details")
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


def seq_of(line: bytes) -> int | None:
    """The number that a line says it has. None: it does not begin as a record."""
    found = _SEQ.match(line)
    return int(found[1]) if found else None


def request_member(request_id: str) -> bytes:
    """What the lines of a request hold; of *request_id*, the first digits are enough."""
    return b'"request_id":"%b' % request_id.encode()


def user_of(line: bytes) -> str | None:
    """The user whose record a line is. None: no user's."""
    found = _USER.match(line)
    return found[1].decode() if found else None


def hash_of(line: bytes) -> str | None:
    """The hash that is stored in a line. None: it does not end as a record."""
    found = _HASH.search(line, max(0, len(line) - HASH_TAIL - 1))
    return found[1].decode() if found else None


def prev_hash_of(line: bytes) -> str | None:
    """The hash of the record before, as a line has it. None: it does not end as a record."""
    found = _PREV_HASH.search(line, max(0, len(line) - PREV_TAIL - 1))
    return found[1].decode() if found else None


def computed_hash(line: bytes) -> str:
    """The hash that a line should have, from its bytes."""
    return hashlib.sha256(memoryview(line)[: -HASH_TAIL - line.endswith(b"\n")]).hexdigest()


def action_of(line: bytes) -> str | None:
    """The action of a stored line. None: it does not begin as a record."""
    found = PREFIX.match(line)
    return found[2].decode() if found else None


def begins_as_record(line: bytes) -> bool:
    """Whether every member before the details has its place and its form."""
    return PREFIX.match(line) is not None


def may_become_record(data: bytes, seq: int) -> bool:
    """Whether record *seq* can begin with *data*, as far as its members before the user show."""
    template = b'{"v":1,"seq":%d,"timestamp":"0000-00-00T00:00:00.000000Z","request_id":"%b",' % (seq, b"0" * 32)
    return all(byte == ours or (ours == 0x30 and byte in b"0123456789abcdef") for byte, ours in zip(data, template, strict=False))


def is_record(line: bytes, seq: int) -> bool:
    """Whether *line* is one whole line, with its newline, that says it is record *seq*."""
    return line.startswith(b'{"v":1,"seq":%d,' % seq) and line.find(b"\n") == len(line) - 1


def end_before(line: bytes, size: int) -> LogEnd | None:
    """The end of the log that *line*, stored after *size* bytes, says it follows."""
    seq, prev_hash = seq_of(line), prev_hash_of(line)
    if seq is None or prev_hash is None or not line.endswith(b"\n"):
        return None
    return LogEnd(size, seq - 1, prev_hash)


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, each with its newline, from chunks cut anywhere; the last one may have none.

    To bound memory, only the beginning of a far too long line is given, without a newline.
    """
    rest, given_up = b"", False
    for chunk in chunks:
        if given_up:
            _, newline, chunk = chunk.partition(b"\n")
            given_up = not newline
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield line + b"\n"
        if len(rest) > 64 * MAX_LINE_BYTES:
            yield rest
            rest, given_up = b"", True
    if rest:
        yield rest
