"""The audit record: its members, its exact bytes, its digest (design: one line of JSON, hashed as it is stored)."""

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
"""A stored line with its newline; below the 65,535 bytes that an entry of a C2SP tile bundle may have."""
MAX_DETAILS_BYTES = MAX_LINE_BYTES - 640  # all other members together stay under 640 bytes
GENESIS_HASH = "0" * 64
HASH_TAIL = 75  # ,"hash":"<64 hex>"}
_USER_ID = re.compile(r"[A-Za-z0-9_-]{3,32}")
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")

ACTIONS = frozenset(
    {
        *("log.opened", "log.recovered", "log.resumed", "log.alive", "log.clock_stepped"),
        *("client.added", "client.disabled", "client.rotated"),
        *("token.issued", "token.revoked"),
        *("ask.received", "ask.answered", "ask.failed", "ask.refused"),
        *("request.refused", "request.refused_summary", "audit.read"),
    }
)
"""The closed list: subject.event. A new meaning is a new name here, never a new use of an old one."""


class Receipt(NamedTuple):
    """Names one record: its place and its SHA-256 (64 lower-case hex digits)."""

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
    """128 random bits in hex. Every record has such an id, so that its leaf hash cannot be guessed."""
    return os.urandom(16).hex()


class Draft(NamedTuple):
    """A record before it has a place: *details* is JSON already, so that nothing can fail under the lock."""

    action: str
    user_id: str | None
    details: bytes
    request_id: str


def draft(action: str, user_id: str | None, details: Mapping[str, Any], request_id: str | None = None) -> Draft:
    """Check and encode a record. Raises ValueError for an unknown action, a bad id, or details that are not JSON.

    Details of any size make a record: what is too long for a line is stored as its digest (`shortening.py`).
    """
    record = whole_draft(action, user_id, details, request_id)
    return record if len(record.details) <= MAX_DETAILS_BYTES else fitting(record)[0]


def whole_draft(action: str, user_id: str | None, details: Mapping[str, Any], request_id: str | None = None) -> Draft:
    """`draft`, with details as long as they are: to be made `fitting` before they get a place."""
    if action not in ACTIONS:
        raise ValueError(f"unknown audit action {action!r}: the closed list is ACTIONS in entry.py")
    if user_id is not None and not _USER_ID.fullmatch(user_id):
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
    """The record that fits into a line, and what is stored in it as its digest only, by its SHA-256 in hex."""
    details, texts = shorten(record.details, MAX_DETAILS_BYTES)
    return record._replace(details=details), texts


def line_of(record: Draft, seq: int, timestamp: str, prev_hash: str) -> tuple[bytes, str]:
    """The stored line (with its newline) and its hash: the SHA-256 of all bytes before `,"hash":"`."""
    user = "null" if record.user_id is None else f'"{record.user_id}"'
    when = f',"timestamp":"{timestamp}","request_id":"{record.request_id}"'
    what = f'{when},"user_id":{user},"action":"{record.action}","details":'.encode()
    body = b'{"v":1,"seq":%d%b%b,"prev_hash":"%b"' % (seq, what, record.details, prev_hash.encode())
    digest = hashlib.sha256(body).hexdigest()
    return b'%b,"hash":"%b"}\n' % (body, digest.encode()), digest


def parse_line(line: bytes) -> dict[str, Any]:
    """The record of a stored line, for display. Raises ValueError when it is not a JSON object."""
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("a record is a JSON object")
    return record


def end_before(line: bytes, size: int) -> LogEnd | None:
    """What *line*, which begins after *size* bytes, says that it follows."""
    found = re.match(rb'\{"v":1,"seq":(\d{1,19}),', line)
    previous = re.search(rb',"prev_hash":"([0-9a-f]{64})","hash":"[0-9a-f]{64}"\}\n\Z', line)
    return LogEnd(size, int(found[1]) - 1, previous[1].decode()) if found and previous else None


def is_record(line: bytes, seq: int) -> bool:
    """Whether *line* is one whole line that says it is record *seq*; nothing of it is verified."""
    return line.startswith(b'{"v":1,"seq":%d,' % seq) and line.find(b"\n") == len(line) - 1


USER = re.compile(rb'\{"v":1,"seq":\d{1,19},"timestamp":"[^"]{27}","request_id":"[0-9a-f]{32}","user_id":"([A-Za-z0-9_-]{3,32})"')


def user_of(line: bytes) -> str | None:
    """Whose record a stored line is; None: nobody's."""
    found = USER.match(line)
    return found[1].decode() if found else None


PREFIX = re.compile(
    rb'\{"v":1,"seq":(\d{1,19}),"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","request_id":"[0-9a-f]{32}",'
    rb'"user_id":(?:null|"[A-Za-z0-9_-]{3,32}"),"action":"([a-z]+\.[a-z_]+)","details":\{(?:"received":(\d{1,19}),)?'
)


PREV_TAIL = HASH_TAIL + 79  # ,"prev_hash":"<64 hex>" stands right before the hash


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, each with its newline, from chunks cut anywhere; an unfinished last line comes as it is.

    Of a line far too long to be ours only a beginning comes, without a newline: nothing grows with it.
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
