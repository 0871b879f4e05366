"""A log whose records have the times that a test gives them, and the index of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.audit.format.record import draft
from app.audit.index.builder import IndexBuilder
from app.audit.index.demand import Demand
from app.audit.index.schema import index_path
from app.audit.storage.append import append

from .stores import open_store

START = datetime(2026, 11, 20, 9, tzinfo=UTC)


class Indexed:
    """Close it. *seconds* after START is when a record is written."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "audit_log.jsonl"
        self.store = open_store(self.log)
        append(self.store.create, [draft("log.opened", None, {})], lambda: _stamp(0))
        self.demand = Demand()
        self.builder = IndexBuilder(self.store, self.log, self.demand)

    @property
    def path(self) -> Path:
        return index_path(self.log)

    def add(self, action: str, user: str | None = None, seconds: float = 0, **details: Any) -> int:
        """The number of the new record."""
        return append(self.store.append, [draft(action, user, details)], lambda: _stamp(seconds))[0].seq

    def ask(self, user: str, query: str, answer: str, *, model: str = "gpt", seconds: float = 0, **more: Any) -> tuple[int, int]:
        """A question and its answer."""
        received = self.add("ask.received", user, seconds, query=query, model=model)
        usage = {"input_tokens": 10, "output_tokens": 5}
        told = {"received": received, "answer": answer, "model": model, "usage": usage, "elapsed_ms": 700, **more}
        return received, self.add("ask.answered", user, seconds, **told)

    def build(self) -> Path:
        while self.builder.step():
            pass
        return self.path

    def close(self) -> None:
        self.builder.close()
        self.store.close()


def _stamp(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
