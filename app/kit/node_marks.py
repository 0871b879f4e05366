"""Marks of settings that machines compare, and that reveal nothing of the values."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

PURPOSE = b"secure-ai-assistant: marks of settings, 1"
MARK_BYTES = 16


def marks_of(values: Mapping[str, object], secret: str) -> dict[str, str]:
    """From names and values to names and marks, keyed by *secret*.

    Another secret makes all of them different: then only its own name is worth telling.
    """
    key = hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)

    def mark(name: str, value: object) -> str:
        return hmac.digest(key, f"{name}={value!r}".encode(), hashlib.sha256)[:MARK_BYTES].hex()

    return {name: mark(name, value) for name, value in values.items()}


def differing(one: Mapping[str, str], other: Mapping[str, str], secret_name: str) -> list[str]:
    """The names whose marks differ, of those that both have: a newer release may have more."""
    names = [name for name in one if name in other and one[name] != other[name]]
    return [secret_name] if secret_name in names else names
