"""Details that are too long for their line: parts are stored as {"sha256", "bytes"}, and what can stays readable.

A text is replaced by the digest of its UTF-8 bytes, an object or array by that of its JSON (compact, as orjson writes it).
Texts go first, the longest first, and only as many as must. Where all of them together would not suffice, objects and arrays
go before them: the largest first, and of a large one its inside rather than the whole where half of the room stays readable.
The same details always give the same bytes; the cost grows with their size, and no part is hashed twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import orjson

DIGEST_BYTES = 96
"""No {"sha256", "bytes"} of less than 10 GB is longer."""
SHORT_TEXT_BYTES = 256
"""Of JSON. Shorter texts are not replaced by themselves: that would hide much and gain little."""
MIN_CUT_RATIO = 16
"""An object or array whose end alone would not make enough room is cut to this part of its size, rather than hidden whole."""

Texts = dict[str, bytes]
"""What was replaced, by its SHA-256 in hex."""
_DIGEST = re.compile(rb'\{"sha256":"([0-9a-f]{64})","bytes":[0-9]{1,19}\}')


def digests_in(line: bytes) -> list[str]:
    """The SHA-256 of each replaced part that a stored line names, in hex.

    Text in a record cannot imitate a digest, because its quotes are escaped. But a caller can send
    an object of this form; it then names a text that is not kept.
    """
    return [name.decode() for name in _DIGEST.findall(line)]


def shorten(encoded: bytes, room: int) -> tuple[bytes, Texts]:
    """A JSON object in at most *room* bytes (200 or more), and what was replaced in it.

    `received` stays whatever happens: it says which question has ended.
    """
    details = orjson.loads(encoded)
    texts: Texts = {}
    if _cut(details, room, room, texts) is None:  # more members, or longer names, than there is room for
        kept = {"received": details["received"]} if type(details.get("received")) is int else {}
        return orjson.dumps({**kept, "details": _digest(encoded, texts)}), texts
    too_many = len(orjson.dumps(details)) - room
    for container, key in _longest_texts(details):
        if too_many <= 0:
            break
        before = len(orjson.dumps(container[key]))
        container[key] = _digest(container[key].encode(), texts)
        too_many -= before - len(orjson.dumps(container[key]))
    return orjson.dumps(details), texts


def _digest(data: bytes, texts: Texts) -> dict[str, str | int]:
    name = hashlib.sha256(data).hexdigest()
    texts[name] = data
    return {"sha256": name, "bytes": len(data)}


def _cut(container: Any, room: int, most: int, texts: Texts) -> int | None:
    """Replace objects and arrays inside *container* until it needs at most *room* bytes with all its long texts replaced.

    Returns what it needs then; None, with nothing changed, where even the digests would take more than *most*.
    """
    floor = _brackets(container)
    parts: list[tuple[int, int, Any]] = []
    for name, key, item in _members(container):
        floor += name
        least = _least(item, room)
        if least > DIGEST_BYTES and isinstance(item, dict | list):
            parts.append((min(least, room + 1), len(item), key))
            least = DIGEST_BYTES
        floor += least
        if floor > most:
            return None
    spare = room - floor + DIGEST_BYTES * len(parts)
    rest = sum(least for least, _, _ in parts)
    parts.sort(key=lambda part: part[:2], reverse=True)  # of those that are larger than all the room, first what has most members
    for left, (least, _, key) in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
        if rest <= spare:
            break
        rest -= least
        target = spare - rest  # then all that follow can stay as they are
        if target < DIGEST_BYTES:
            target = min(max(DIGEST_BYTES, least // MIN_CUT_RATIO), spare - DIGEST_BYTES * left)
        spare -= _make_fit(container, key, target, texts)
    return room - spare + rest


def _make_fit(container: Any, key: Any, room: int, texts: Texts) -> int:
    """Cut what stands there to at most *room* bytes, or replace it. Returns what it needs then."""
    needs = _cut(container[key], room, room // 2, texts)
    if needs is None:
        container[key] = _digest(orjson.dumps(container[key]), texts)
        return DIGEST_BYTES
    return needs


def _least(item: Any, most: int) -> int:
    """The bytes of *item* with all its long texts replaced; something above *most* as soon as that is certain."""
    if isinstance(item, str):
        if len(item) > SHORT_TEXT_BYTES:
            return DIGEST_BYTES
        size = len(orjson.dumps(item))
        return size if size <= SHORT_TEXT_BYTES else DIGEST_BYTES
    if not isinstance(item, dict | list):
        return len(orjson.dumps(item))
    if 2 * len(item) > most:  # each has a byte at least, and a comma
        return most + 2
    needs = _brackets(item)
    for name, _, child in _members(item):
        needs += name
        needs += _least(child, most - needs)
        if needs > most:
            break
    return needs


def _brackets(container: Any) -> int:
    """Their bytes, less the comma that the last member has not."""
    return 1 if container else 2


def _members(container: Any) -> Iterable[tuple[int, Any, Any]]:
    """What stands in it: how many bytes its name and comma take, its key or index, itself."""
    if isinstance(container, dict):
        return ((len(orjson.dumps(key)) + 2, key, item) for key, item in container.items())
    return ((1, at, item) for at, item in enumerate(container))


def _longest_texts(details: Any) -> list[tuple[Any, Any]]:
    """Where the texts stand that are long enough to be replaced, the longest first."""
    found: list[tuple[int, Any, Any]] = []
    stack = [details]
    while stack:
        container = stack.pop()
        for _, key, item in _members(container):
            if isinstance(item, dict | list):
                stack.append(item)
            elif isinstance(item, str) and (len(item) > SHORT_TEXT_BYTES or len(orjson.dumps(item)) > SHORT_TEXT_BYTES):
                found.append((len(item.encode()), container, key))
    found.sort(key=lambda text: text[0], reverse=True)
    return [(container, key) for _, container, key in found]
