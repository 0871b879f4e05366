"""What the index keeps of one record: who, what, when, its words, and its part of the sums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from .schema import BUCKETS_MS

MAX_TEXT = 20_000
"""Characters of one record that can be found."""
NANO = 10**9
DIGEST = re.compile(r"[0-9a-f]{64}")
ALONE = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff])")
"""Scripts that put no spaces between words: each character is a word of its own."""
ENDS = frozenset({"ask.answered", "ask.failed"})


@dataclass(slots=True)
class Facts:
    seq: int
    time: int
    """Milliseconds since 1970."""
    day: str
    action: str
    user: str
    """Empty: nobody was proven."""
    model: str
    received: int | None
    """The question that this is about."""
    text: str
    sums: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    """By code."""


def facts_of(line: bytes) -> Facts:
    """Raises ValueError, KeyError, TypeError or AttributeError for a line that is no record."""
    record = orjson.loads(line)
    details, action, stamp = record["details"], record["action"], record["timestamp"]
    model, received = details.get("model"), details.get("received")
    facts = Facts(
        record["seq"],
        round(datetime.fromisoformat(stamp).timestamp() * 1000),
        stamp[:10],
        action,
        record["user_id"] or "",
        model if isinstance(model, str) else "",
        received if isinstance(received, int) else None,
        f"{record['request_id']} {record['hash']} {words_of(details)}",
    )
    _count(facts, details)
    return facts


def words_of(details: Any) -> str:
    """All texts of *details*, digests left out."""
    text = " ".join(_texts(details))[:MAX_TEXT]
    return spaced(text)


def spaced(text: str) -> str:
    return text if text.isascii() else ALONE.sub(r" \1 ", text)


def tag(kind: str, name: str) -> str:
    """One word for the principal, action or model of a record, beside the words of its text."""
    return f"{kind}_{name.encode().hex()}"


def tags_of(facts: Facts) -> str:
    return f"{tag('u', facts.user)} {tag('a', facts.action)} {tag('m', facts.model)}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if not DIGEST.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _count(facts: Facts, details: dict[str, Any]) -> None:
    """Its part of the sums of the day."""
    action = facts.action
    if action == "ask.received":
        facts.sums["questions"] = 1
    elif action in ENDS:
        facts.sums["answered" if action == "ask.answered" else "failed"] = 1
        _count_end(facts.sums, details)
    elif action in ("ask.refused", "request.refused"):
        facts.sums["refused"] = 1
        facts.refusals[str(details.get("code"))] = 1
    elif action == "request.refused_summary":
        codes = details.get("codes")
        facts.refusals |= {code: count for code, count in (codes or {}).items() if isinstance(count, int)}
        facts.sums["refused"] = sum(facts.refusals.values())


def _count_end(sums: dict[str, int], details: dict[str, Any]) -> None:
    usage, elapsed = details.get("usage"), details.get("elapsed_ms")
    tokens = [0, 0]
    if isinstance(usage, dict):
        tokens = [int(usage.get(name) or 0) for name in ("input_tokens", "output_tokens")]
        sums["input"], sums["output"] = tokens
    nano = _money(details.get("spent"))
    if nano is None:
        sums["unpriced_input"], sums["unpriced_output"] = tokens
    else:
        sums["nano"] = nano
    if isinstance(elapsed, int | float):
        sums[f"ms_{sum(elapsed > bound for bound in BUCKETS_MS)}"] = 1


def _money(spent: Any) -> int | None:
    """What the question cost, of one budget in money: each that applies holds the same."""
    found: dict[str, int] = {}
    for one in spent if isinstance(spent, list) else ():
        if isinstance(one, dict) and one.get("unit") != "tokens" and "amount" in one and isinstance(one["amount"], str):
            try:
                found[str(one.get("id"))] = found.get(str(one.get("id")), 0) + int(Decimal(one["amount"]) * NANO)
            except (InvalidOperation, ValueError, OverflowError):
                continue
    return max(found.values()) if found else None
