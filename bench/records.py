"""The records written in every measurement of a log: the two of a question, as large as those of the service.

Imports nothing, because the peers' processes read it in their own environments.
"""

from __future__ import annotations

from typing import Any

ASKED: dict[str, Any] = {
    "query": "What does a hash chain prove, and what does it not? (no. 417)",
    "roles": ["ai.playground.user"],
    "model": "gpt-4o-mini",
    "address": "127.0.0.1",
    "upstream_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
"""The details of `ask.received`."""


def answered(received: int) -> dict[str, Any]:
    """The details of the `ask.answered` for question *received*."""
    return {
        "received": received,
        "answer": "echo: 9f86d081884c7d65",
        "model": "gpt-4o-mini",
        "usage": {"input_tokens": 12, "output_tokens": 7},
        "elapsed_ms": 3,
        "attempts": 1,
    }


RECORD_BYTES = 510
"""The measured average line of such a log; the other writers write as many bytes per record."""
