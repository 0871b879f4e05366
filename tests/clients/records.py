"""What the audit log must hold after a client's calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..support.fake_openai import completion_text

HARMLESS = {"client.added", "token.issued", "ask.received", "ask.answered"}


def check_records(user_id: str, calls: int, records: Sequence[Mapping[str, Any]], sent: Sequence[str]) -> str | None:
    """The first problem, or None: *calls* questions, each answered once and naming the digest of a body *sent* upstream."""
    own = [record for record in records if record["user_id"] == user_id]
    asked = {record["seq"]: record["details"] for record in own if record["action"] == "ask.received"}
    answered = [record["details"] for record in own if record["action"] == "ask.answered"]
    if (len(sent), len(asked)) != (calls, calls):
        return f"{calls} calls were expected, {len(sent)} went upstream, {len(asked)} are recorded"
    if unmeant := Counter(record["action"] for record in own if record["action"] not in HARMLESS):
        return f"unexpected records: {dict(unmeant)}"
    if Counter(details["received"] for details in answered) != Counter(asked.keys()):
        return f"{len(answered)} answers are recorded, but not one for each of {calls} questions"
    if Counter(details["upstream_sha256"] for details in asked.values()) != Counter(sent):
        return "the records name other bodies than those sent upstream"
    echoes = [details for details in answered if str(details["answer"]).startswith("echo: ")]
    wrong = [details for details in echoes if details["answer"] != completion_text(_question(asked[details["received"]]))]
    if wrong or not echoes:
        return f"of {len(echoes)} recorded texts {len(wrong)} are not what the upstream answered"
    return None


def _question(details: Mapping[str, Any]) -> str:
    """The text of the last message, which the fake upstream answers."""
    content = details["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
