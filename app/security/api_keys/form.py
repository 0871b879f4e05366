"""The form of an API key: `saa_`, an id, a secret and a checksum, all in base62.

Secret scanners find it by `saa_[0-9A-Za-z]{60}`, and tell it from other text by its checksum: the
CRC-32 of all characters before it, as GitHub's tokens have it. docs/reference/http-api.md has it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

from ..token_errors import TokenError

PREFIX = "saa_"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_BYTES, ID_DIGITS = 8, 11
SECRET_BYTES, SECRET_DIGITS = 32, 43
CHECKSUM_DIGITS = 6
FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{ID_DIGITS}}})[0-9A-Za-z]{{{SECRET_DIGITS}}}([0-9A-Za-z]{{{CHECKSUM_DIGITS}}})")
_ID = re.compile(rf"[0-9A-Za-z]{{{ID_DIGITS}}}")


class KeyRefused(TokenError):
    """*reason* (unknown, wrong_secret, expired, …) is for the record: every body is the same."""

    code = "invalid_key"
    detail = "This API key is wrong, has expired or was revoked. Ask the person who gave it to you for a new one."

    def __init__(self, reason: str = "malformed", key_id: str | None = None) -> None:
        super().__init__()
        self.reason = reason
        self.key_id = key_id


class NewKey(NamedTuple):
    """Show *key* once: only its SHA-256 is stored."""

    key_id: str
    key: str


def make_key(random_bytes: Callable[[int], bytes]) -> NewKey:
    """A key with a secret of 256 random bits: too many to guess, so a fast hash of it is safe."""
    key_id = _base62(int.from_bytes(random_bytes(ID_BYTES)), ID_DIGITS)
    text = PREFIX + key_id + _base62(int.from_bytes(random_bytes(SECRET_BYTES)), SECRET_DIGITS)
    return NewKey(key_id, text + checksum(text))


def is_key_id(value: str) -> bool:
    return _ID.fullmatch(value) is not None


def verify_form(key: str) -> str:
    """The id of *key*. Raises KeyRefused for another form or a wrong checksum."""
    match = FORM.fullmatch(key)
    if match is None or checksum(key[:-CHECKSUM_DIGITS]) != match[2]:
        raise KeyRefused()
    return match[1]


def checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), CHECKSUM_DIGITS)


def _base62(number: int, count: int) -> str:
    """*number* in *count* digits, the most significant one first."""
    digits = []
    for _ in range(count):
        number, rest = divmod(number, len(DIGITS))
        digits.append(DIGITS[rest])
    return "".join(reversed(digits))
