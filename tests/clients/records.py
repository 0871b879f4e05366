"""What the audit log must hold after a client's calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from ..support.fake_openai import completion_text

Record: TypeAlias = Mapping[str, Any]
HARMLESS = {"client.added", "key.added", "token.issued", "ask.received", "ask.answered"}


def check_records(calls: int, records: Sequence[Record], sent: Sequence[str]) -> str | None:
    """The first problem in a client's records, or None: *calls* questions, each answered once and naming the digest of a body
    *sent* upstream."""
    asked, answered = _asked(records), _answered(records)
    if (len(sent), len(asked)) != (calls, calls):
        return f"{calls} calls were expected, {len(sent)} went upstream, {len(asked)} are recorded"
    if unmeant := Counter(record["action"] for record in records if record["action"] not in HARMLESS):
        return f"unexpected records: {dict(unmeant)}"
    if Counter(details["received"] for details in answered) != Counter(asked.keys()):
        return f"{len(answered)} answers are recorded, but not one for each of {calls} questions"
    if Counter(details["upstream_sha256"] for details in asked.values()) != Counter(sent):
        return "the records name other bodies than those sent upstream"
    return None


def check_echoes(records: Sequence[Record]) -> str | None:
    """As above, for the texts: each is what the fake upstream answers to its question."""
    asked = _asked(records)
    echoes = [details for details in _answered(records) if str(details["answer"]).startswith("echo: ")]
    wrong = [details for details in echoes if details["answer"] != completion_text(_question(asked[details["received"]]))]
    if wrong or not echoes:
        return f"of {len(echoes)} recorded texts {len(wrong)} are not what the upstream answered"
    return None


def credentials(records: Sequence[Record]) -> set[str]:
    """With which the questions were asked."""
    return {record["details"]["credential"] for record in records if record["action"] == "ask.received"}


def time_of(record: Record) -> float:
    return datetime.fromisoformat(record["timestamp"]).timestamp()


def seconds(records: Sequence[Record]) -> float:
    """From the first question to the last answer."""
    times = [time_of(record) for record in records if record["action"] in ("ask.received", "ask.answered")]
    return max(times, default=0.0) - min(times, default=0.0)


def _asked(records: Sequence[Record]) -> dict[int, Mapping[str, Any]]:
    return {record["seq"]: record["details"] for record in records if record["action"] == "ask.received"}


def _answered(records: Sequence[Record]) -> list[Mapping[str, Any]]:
    return [record["details"] for record in records if record["action"] == "ask.answered"]


def _question(details: Mapping[str, Any]) -> str:
    """The text of the last message, which the fake upstream answers."""
    content = details["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
