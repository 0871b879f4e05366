"""Shortens details that are too long for a record's line: parts of them are replaced by digests.

A digest is `{"sha256": …, "bytes": …}` of a text's UTF-8 bytes, or of the compact JSON of an object
or array. As much as possible stays readable:

1. Objects and arrays are replaced only if replacing all long texts would not be enough: the largest
   first, and rather parts inside a large one than all of it, if half of its room stays readable.
2. Then texts are replaced, the longest first, and no more than necessary.
3. Details of too many members, or with too long names, are replaced as a whole.

The same details always give the same bytes. The cost is linear, and no part is hashed twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

DIGEST_BYTES = 96
"""The most bytes of a digest, of anything up to 10 GB."""
SHORT_TEXT_BYTES = 256
"""As JSON. Replacing a text that is not longer would hide much and gain little."""
BOOKS = ("reserved", "spent")
LEAST_ROOM = 200
MIN_CUT_RATIO = 16
"""A part is cut to a 16th of its size, rather than replaced, if even its digest is not enough."""

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

    `received` is never replaced, because it says which question has ended; nor are `reserved` and
    `spent`, from which anyone can compute what was spent, unless they leave no room.
    """
    details = orjson.loads(encoded)
    books = {name: details[name] for name in BOOKS if name in details}
    room_left = room - len(orjson.dumps(books))
    if not books or room_left < LEAST_ROOM:
        return _shortened(details, encoded, room)
    names = list(details)
    rest = {name: value for name, value in details.items() if name not in books}
    shortened, texts = _shortened(rest, encoded, room_left)
    found = {**orjson.loads(shortened), **books}
    return orjson.dumps({name: found[name] for name in [*names, *found] if name in found}), texts


def _shortened(details: Any, encoded: bytes, room: int) -> tuple[bytes, Texts]:
    """*details* in at most *room* bytes; *encoded*: what is replaced if they are as a whole."""
    texts: Texts = {}
    if _cut(details, room, room, texts) is None:
        kept = {"received": details["received"]} if type(details.get("received")) is int else {}
        return orjson.dumps({**kept, "details": _digest(encoded, texts)}), texts
    excess = len(orjson.dumps(details)) - room
    for container, key in _longest_texts(details):
        if excess <= 0:
            break
        before = len(orjson.dumps(container[key]))
        container[key] = _digest(container[key].encode(), texts)
        excess -= before - len(orjson.dumps(container[key]))
    return orjson.dumps(details), texts


def _digest(data: bytes, texts: Texts) -> dict[str, str | int]:
    """The digest of *data*, which is added to *texts*."""
    name = hashlib.sha256(data).hexdigest()
    texts[name] = data
    return {"sha256": name, "bytes": len(data)}


# --- objects and arrays ------------------------------------------------------------------------
# In all sizes below, every long text counts as a digest.


class _Part(NamedTuple):
    """An object or array inside another that is larger than a digest."""

    size: int
    members: int
    key: Any


def _cut(container: Any, room: int, most: int, texts: Texts) -> int | None:
    """Cut or replace parts of *container* until it needs at most *room* bytes, which it returns.

    Returns None, and changes nothing, if it needs more than *most* with all of its parts replaced.
    """
    found = _parts_of(container, room, most)
    if found is None:
        return None
    taken, parts = found  # *taken*: by all but the parts, then also by the parts that were cut
    waiting = sum(part.size for part in parts)  # what the parts need that were not cut
    parts.sort(key=lambda part: (part.size, part.members), reverse=True)
    for number, part in enumerate(parts, 1):
        if taken + waiting <= room:
            break
        waiting -= part.size
        target = room - taken - waiting  # enough, so that all smaller parts stay whole
        if target < DIGEST_BYTES:  # smaller parts must be cut too: keep room for their digests
            keep_free = DIGEST_BYTES * (len(parts) - number)
            target = min(max(DIGEST_BYTES, part.size // MIN_CUT_RATIO), room - taken - keep_free)
        taken += _cut_or_replace(container, part.key, target, texts)
    return taken + waiting


def _cut_or_replace(container: Any, key: Any, room: int, texts: Texts) -> int:
    """Cut a part to *room* bytes, or replace it if less than half of them would stay readable."""
    size = _cut(container[key], room, room // 2, texts)
    if size is not None:
        return size
    container[key] = _digest(orjson.dumps(container[key]), texts)
    return DIGEST_BYTES


def _parts_of(container: Any, room: int, most: int) -> tuple[int, list[_Part]] | None:
    """What *container* needs without its parts, and its parts. A part's size is at most *room* + 1.

    None: it needs more than *most* even with all of its parts replaced.
    """
    rest, parts = _brackets(container), list[_Part]()
    for name, key, item in _members(container):
        rest += name
        size = _size(item, room)
        if size > DIGEST_BYTES and isinstance(item, dict | list):
            parts.append(_Part(min(size, room + 1), len(item), key))
        else:
            rest += size
        if rest + DIGEST_BYTES * len(parts) > most:
            return None
    return rest, parts


def _size(item: Any, most: int) -> int:
    """The bytes of *item*; any number above *most* as soon as it is certain that it needs more."""
    if isinstance(item, str):
        if len(item) > SHORT_TEXT_BYTES:
            return DIGEST_BYTES
        size = len(orjson.dumps(item))
        return size if size <= SHORT_TEXT_BYTES else DIGEST_BYTES
    if not isinstance(item, dict | list):
        return len(orjson.dumps(item))
    if 2 * len(item) > most:  # each member has at least one byte and a comma
        return most + 2
    size = _brackets(item)
    for name, _, child in _members(item):
        size += name
        size += _size(child, most - size)
        if size > most:
            break
    return size


def _brackets(container: Any) -> int:
    """Two bytes; one less if there are members, because the last of them has no comma."""
    return 1 if container else 2


def _members(container: Any) -> Iterable[tuple[int, Any, Any]]:
    """Of each member: the bytes of its name and comma, its key or index, its value."""
    if isinstance(container, dict):
        return ((len(orjson.dumps(key)) + 2, key, item) for key, item in container.items())
    return ((1, at, item) for at, item in enumerate(container))


# --- texts -------------------------------------------------------------------------------------


def _longest_texts(details: Any) -> list[tuple[Any, Any]]:
    """The container and key of each text that is long enough to be replaced, the longest first."""
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
