"""A month of records for the console: written through the log itself, before its service starts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore

QUESTIONS = (
    (
        "Summarise the supplier contract in three sentences.",
        "It runs for two years, renews by itself, and ends with 90 days' notice.",
    ),
    ("Which of our products need a CE mark?", "All that are sold in the EU and fall under one of the harmonised directives."),
    ("Translate into German: The shipment left Rotterdam on Monday.", "Die Lieferung hat Rotterdam am Montag verlassen."),
    (
        "Why does my SQL query return duplicates?",
        "The join matches several rows of the second table. Group by the key, or select distinct.",
    ),
    (
        "Draft a polite reminder for an unpaid invoice.",
        "Dear Ms Okafor, may we remind you of invoice 4471, which was due on the 3rd?",
    ),
    ("What changed in ISO 27001:2022?", "Annex A was regrouped into four themes and holds 93 controls instead of 114."),
)
MODELS = ("gpt-4o-mini", "claude-sonnet", "llama-3.3-70b")
PEOPLE = ("alice", "bob", "chen", "dara", "support-bot")


class Clock:
    """The time of the record that is written next."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> str:
        return self.now.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def write_history(log: Path, *, days: int = 30, a_day: int = 24, seed: int = 7) -> None:
    """Questions, answers, failures and refusals of *days* until an hour ago."""
    asyncio.run(_write(log, days, a_day, random.Random(seed)))


async def _write(log: Path, days: int, a_day: int, chance: random.Random) -> None:
    start = datetime.now(UTC) - timedelta(days=days - 1, hours=1)
    clock = Clock(start)
    with closing(AuditLog(JsonlStore(log), clock=clock)) as audit:
        async with audit:
            for moment in _moments(start, days, a_day, chance):
                clock.now = moment
                await _question(audit, clock, chance)


def _moments(start: datetime, days: int, a_day: int, chance: random.Random) -> Iterator[datetime]:
    for day in range(days):
        count = round(a_day * chance.uniform(0.6, 1.4) * (0.25 if (start + timedelta(days=day)).weekday() > 4 else 1))
        yield from sorted(start + timedelta(days=day, minutes=chance.uniform(0, 20)) for _ in range(count))


async def _question(audit: AuditLog, clock: Clock, chance: random.Random) -> None:
    who, model = chance.choice(PEOPLE), chance.choices(MODELS, (6, 3, 2))[0]
    if chance.random() < 0.04:
        refused = {"status": 429, "code": "rate_limited", "method": "POST", "route": "/ask", "address": "10.0.4.17"}
        await audit.record("request.refused", user_id=who, details=refused)
        return
    question, answer = chance.choice(QUESTIONS)
    request_id = f"{chance.getrandbits(128):032x}"
    proof = {"credential": f"token:{chance.getrandbits(128):032x}"}
    asked: dict[str, Any] = {"query": question, "roles": ["ai.playground.user"], "model": model, "address": "10.0.4.17", **proof}
    received = await audit.record("ask.received", user_id=who, details=asked, request_id=request_id)
    took = chance.lognormvariate(7, 0.6)
    clock.now += timedelta(milliseconds=took)
    end: dict[str, Any] = {"received": received.seq, "elapsed_ms": round(took), "attempts": 1, **proof}
    if chance.random() < 0.03:
        await audit.record("ask.failed", user_id=who, details={**end, "code": "upstream_timeout"}, request_id=request_id)
        return
    usage = {"input_tokens": chance.randrange(30, 900), "output_tokens": chance.randrange(20, 400)}
    told = {**end, "answer": answer, "model": model, "usage": usage}
    await audit.record("ask.answered", user_id=who, details=told, request_id=request_id)
