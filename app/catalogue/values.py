"""What a value in the models file or the settings may be: numbers within bounds, addresses, names, roles."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

PLACEHOLDERS = frozenset({"your_openai_api_key_here", "32_char_random_string_here"})


MAX_ROLE_LENGTH = 64  # as in a token


BodyBytes = Annotated[int, Field(ge=1024, le=1 << 30)]


MessageCount = Annotated[int, Field(ge=1, le=1_000_000)]


CharacterCount = Annotated[int, Field(ge=1, le=1 << 30)]


TokenCount = Annotated[int, Field(ge=1, le=1_000_000)]


def http_address(value: str) -> str:
    """Raises ValueError for what is not http(s)://host/path; a user in it would be a secret in a place that is shown."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that stays open
        is_address = False
    if not is_address or re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValueError("takes an address such as http://127.0.0.1:11434/v1")
    if "@" in parts.netloc:
        raise ValueError("takes an address without a user: the key has a place of its own")
    return value


def _base_url(value: str) -> str:
    if "?" in value or "#" in value:
        raise ValueError("takes an address that ends before any ? or #: a path is put after it")
    return http_address(value)


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("takes the name of an environment variable, such as OPENAI_API_KEY, and never the key itself")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", value):
        raise ValueError("takes a name of 1 to 200 visible ASCII characters, without spaces")
    return value


def _role(value: str) -> str:
    if len(value) > MAX_ROLE_LENGTH or not re.fullmatch(r"[a-z.]+", value):
        raise ValueError(f"takes roles of a-z and dots, such as ai.playground.user, of at most {MAX_ROLE_LENGTH} characters")
    return value


def _not_empty(value: list[str]) -> list[str]:
    if not value:
        raise ValueError("is empty, so that nobody could use the model: name one, or leave it out for all")
    return value


Name = Annotated[str, AfterValidator(_name)]


Role = Annotated[str, AfterValidator(_role)]
