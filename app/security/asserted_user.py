"""The user that a caller names. Nothing proves it, and no right ever follows from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MAX_CHARS = 128
"""Of an id, an e-mail address or a name."""


@dataclass(frozen=True, slots=True)
class AssertedUser:
    """*id* and *source* (the header or member that named it) are printable and short."""

    id: str
    source: str
    email: str | None = None
    name: str | None = None

    @classmethod
    def of(cls, value: object, source: str, email: str | None = None, name: str | None = None) -> AssertedUser | None:
        """None where *value* is no text, or blank."""
        if not isinstance(value, str) or not value.strip():
            return None
        return cls(shown(value), source, *(text and shown(text) for text in (email, name)))

    def members(self) -> dict[str, str]:
        """As a record holds it."""
        more = {"email": self.email, "name": self.name}
        return {"id": self.id, "source": self.source} | {name: value for name, value in more.items() if value}


def shown(value: str) -> str:
    """*value* without blanks at its ends; its digest if it is long or not printable."""
    value = value.strip()
    if len(value) <= MAX_CHARS and value.isprintable():
        return value
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
