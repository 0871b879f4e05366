"""The Lua scripts that count on the server: each call of one is a single step there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple


class Script(NamedTuple):
    text: str
    sha: str
    """By which the server knows it, once it has seen the text."""


def _script(name: str) -> Script:
    text = Path(__file__).with_name(f"{name}.lua").read_text()
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


WINDOWS, TOKENS = _script("windows"), _script("tokens")
