"""JSON of a model's server: read as its SDKs read it, and written again whatever it holds.

orjson takes neither lone surrogates (half an emoji in JavaScript), nor NaN, nor numbers of more
than 64 bits, all of which Python's and JavaScript's parsers take.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_WHITE_SPACE = b" \t\r\n"
_CHARSET = re.compile(r"(?:iso|latin|windows|cp|gb|big5|shift|euc|koi8|utf).*", re.IGNORECASE | re.ASCII)
"""Codings of text. Python has others, such as punycode, that take minutes for a megabyte."""
MAX_FOREIGN_BYTES = 4 * 1024 * 1024
"""What is longer must be JSON as orjson has it: Python's parser and its numbers take seconds."""
_INTEGERS = range(-(2**63), 2**64)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
"""The codec joins pairs, too, but all threads wait while it does: a second for a million halves."""


def loads(data: bytes, *, errors: str = "strict") -> Any:
    """Raises ValueError or RecursionError. *errors*: what to do with bytes that are not UTF-8.

    The value may hold lone surrogates, and then neither orjson nor UTF-8 can encode it.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        if len(data) > MAX_FOREIGN_BYTES:
            raise
        return json.loads(data.decode("utf-8-sig", errors))  # SDKs drop a byte order mark


def as_utf8(data: bytes, charset: str | None) -> bytes:
    """*data*, text of a model's server, in UTF-8, so that all who read it read the same.

    What is not UTF-8 is read as *charset*, the server's own label, says; else with U+FFFD in the
    places that are not valid.
    """
    try:
        data.decode()
        return data
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode(charset if charset and _CHARSET.fullmatch(charset) else "utf-8", "replace")
    except LookupError:  # a label that is no name of a coding
        text = data.decode("utf-8", "replace")
    return text.encode("utf-8", "replace")


def json_as_utf8(data: bytes, charset: str | None) -> bytes:
    """As `as_utf8`, for a whole document, which shows by itself whether it is UTF-16 or UTF-32."""
    found = json.detect_encoding(data)
    if found.startswith("utf-8"):
        return as_utf8(data, charset)
    return data.decode(found, "replace").encode("utf-8", "replace")


def dumps(value: Any) -> bytes:
    """Compact JSON of what `loads` returns. Lone surrogates are escaped, as they came."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def dense(encoded: bytes) -> bytes:
    """A copy, for many that are kept: each result of orjson stands in a kilobyte of its own."""
    return bytes(memoryview(encoded))


def storable(value: Any) -> Any:
    """*value* if a record can hold it; else a copy of which it can.

    The halves of a pair of surrogates are joined. A surrogate that is left alone becomes the text
    of its escape, such as `\\ud83d`; so does a number of more than 64 bits become a text.
    """
    try:
        orjson.dumps(value)
    except TypeError:
        return _storable(value)
    return value


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        joined = _PAIR.sub(_join, value)
        return joined.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return str(value) if isinstance(value, int) and value not in _INTEGERS else value


def _join(pair: re.Match[str]) -> str:
    high, low = map(ord, pair[0])
    return chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)


def repeats_a_member(value: Any, data: bytes) -> bool:
    """Whether an object in *data*, which was parsed to *value*, has a member twice.

    Parsers disagree about which of the two counts; ours is the last.
    """
    try:
        if orjson.dumps(value) == data:
            return False  # nearly always: most servers write JSON as we do
    except TypeError:
        pass
    # Every member ends its name with `":`. Where a text holds that too, there are more of them,
    # so that equality proves that no member is missing in the value.
    dense = data.translate(None, _WHITE_SPACE)
    if b'\\\\":' not in dense and dense.count(b'":') - dense.count(b'\\":') == _number_of_members(value):
        return False
    is_repeated = False

    def members(pairs: list[tuple[str, Any]]) -> None:
        nonlocal is_repeated
        is_repeated = is_repeated or len({name for name, _ in pairs}) < len(pairs)

    json.loads(data.decode("utf-8-sig", "replace"), object_pairs_hook=members, parse_int=str, parse_float=str)
    return is_repeated


def _number_of_members(value: Any) -> int:
    if type(value) is dict:
        number = len(value)
        for item in value.values():
            if type(item) is dict or type(item) is list:
                number += _number_of_members(item)
        return number
    return (
        sum(_number_of_members(item) for item in value if type(item) is dict or type(item) is list) if type(value) is list else 0
    )
