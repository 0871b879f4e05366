"""Caps: how much one principal may send, how long they may wait, and how long an answer may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import NamedTuple

MAX_PER_MINUTE = 10_000_000
"""No limit on requests is higher."""
NO_TOKEN_RATE = 10**12
"""The rate in tokens where there is none: no sum of a minute reaches it."""


@dataclass(frozen=True, slots=True)
class Caps:
    """From the settings for everyone; in the policy file, `[caps."ROLE"]` has those of a role."""

    body_bytes: int
    messages: int
    message_chars: int
    """Unicode code points in one message."""
    max_output_tokens: int
    """The ceiling: no more may be asked for, for all choices of an answer together."""
    default_output_tokens: int
    """What is asked for where a request names no length; 0 adds nothing."""
    clamps: bool
    """Whether more than the ceiling is lowered to it; otherwise it is refused."""
    requests_per_minute: int
    timeout_seconds: float
    """For a whole plain answer, and for the silence of a stream."""
    stream_timeout_seconds: float
    tokens_per_minute: int = NO_TOKEN_RATE
    """Of questions and answers together."""


class TokenRate(NamedTuple):
    """At most *most* tokens a minute are counted under *key*."""

    key: str
    most: int


@dataclass(frozen=True, slots=True)
class OutputLimit:
    """How long the answer to one request may be, in tokens."""

    most: int
    default: int
    """0: none is added."""
    clamps: bool


def smallest(several: Iterable[Caps]) -> Caps:
    """The smallest of each cap; there is at least one."""
    return Caps(*map(min, zip(*map(astuple, several), strict=True)))


def largest(several: Iterable[Caps]) -> Caps:
    """The largest of each cap; there is at least one."""
    return Caps(*map(max, zip(*map(astuple, several), strict=True)))
