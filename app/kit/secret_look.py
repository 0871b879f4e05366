"""Which text looks like a secret, by its form alone; and how such a text is written down."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MIN_RANDOM = 12
"""Characters without a pattern: more than 60 bits in the poorest alphabet that secrets use."""
MIN_KINDS = 7
"""Different ones among them: repetition is no secret."""
MIN_PIECE = 8
"""Between two separators. Shorter ones are versions, sizes and formats: 8x7B, q4f16, A22B."""
MANY_RANDOM, MANY_KINDS, MOST_PIECES = 20, 12, 8
"""Random characters from which on the length of the pieces does not matter, if they are few."""
MIN_WORDS = 3
"""Words from which on a segment of a path is a sentence."""
MAX_LOOKED_AT = 4096
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_SEPARATORS = re.compile(r"[-_./:@,\s]+")
_NUMBER = re.compile(r"[0-9]{1,19}")
_HEX = re.compile(r"(?=.*[0-9])(?:[0-9a-f]{16,}|[0-9A-F]{16,})")
"""Hex digits. The letters among them are no words, even where they can be spoken."""
_WORD = re.compile(r"[A-Z]?[a-z]{3,}|(?<![0-9A-Z])[A-Z]{4,}+(?![0-9])")
_CONSONANTS = re.compile(r"[^aeiouy]{5,}", re.IGNORECASE)


def looks_secret(text: str) -> bool:
    """Whether *text* holds a key, a password or a token, as far as its form shows.

    A name is made of words, short pieces and numbers; a secret has long pieces that are neither. A
    UUID is a name. So is a pass phrase of words, which nothing but its meaning gives away.
    """
    named = _UUID.sub("", text[:MAX_LOOKED_AT])
    pieces = [piece for piece in _SEPARATORS.split(named) if not _NUMBER.fullmatch(piece)]
    random = _random_in(piece for piece in pieces if len(piece) >= MIN_PIECE)
    if len(random) >= MIN_RANDOM and len(set(random)) >= MIN_KINDS:
        return True
    random = _random_in(pieces)
    return len(pieces) <= MOST_PIECES and len(random) >= MANY_RANDOM and len(set(random)) >= MANY_KINDS


def _random_in(pieces: Iterable[str]) -> str:
    random = "".join(piece if _HEX.fullmatch(piece) else _WORD.sub(_unless_word, piece) for piece in pieces)
    return "".join(one for one in random if one.isascii())  # other scripts are words


def masked(text: str, limit: int) -> str:
    """*text* in at most *limit* printable characters; a digest if it looks like a secret."""
    if looks_secret(text):
        return _digest(text)
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[:limit])
    return shown if len(shown) <= limit and len(text) <= limit else shown[: limit - 1] + "…"


def masked_path(path: str, limit: int) -> str:
    """As `masked`, but segment by segment. A sentence is no address, and may be private."""
    segments = path[: 4 * limit].split("/")
    shown = "/".join(_digest(one) if len(one.split()) >= MIN_WORDS else masked(one, limit) for one in segments)
    return shown if len(shown) <= limit and len(path) <= 4 * limit else shown[: limit - 1] + "…"


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _unless_word(found: re.Match[str]) -> str:
    """Nothing for letters that can be spoken, else the letters."""
    letters = found[0]
    vowels = sum(letter in "aeiouyAEIOUY" for letter in letters)
    return "" if 5 * vowels >= len(letters) and not _CONSONANTS.search(letters) else letters
