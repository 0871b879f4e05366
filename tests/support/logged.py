"""Stored lines of every action, as the service writes them, for what reads records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.audit.format.chain import link
from app.audit.format.record import ACTIONS, EMPTY, draft
from app.telemetry.siem.record import LoggedRecord

TIME = "2026-11-26T10:00:00.123456Z"
DETAILS: Mapping[str, Mapping[str, Any]] = {
    "ask.received": {
        "endpoint": "/v1/chat/completions",
        "messages": [{"role": "user", "content": "the recipe"}],
        "params": {"temperature": 1},
        "model": "small",
        "address": "192.0.2.1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "credential": "key:1",
    },
    "ask.answered": {
        "received": 1,
        "answer": "flour",
        "model": "small-1",
        "usage": {"input_tokens": 3, "output_tokens": 5},
        "elapsed_ms": 7,
        "attempts": 1,
    },
    "ask.failed": {"received": 1, "code": "upstream_timeout", "elapsed_ms": 30_000, "delivered": {"answer": "flo"}},
    "request.refused": {"status": 401, "code": "invalid_token", "method": "POST", "route": "/ask", "address": "2001:db8::1"},
    "client.added": {"client_id": "alice", "roles": ["ai.playground.user"], "by": "operator"},
    "key.added": {"key_id": "51rWymAHFO8", "client_id": "alice", "name": None, "by": "operator"},
    "token.issued": {"jti": "6" * 32, "roles": [], "expires_in": 3600, "address": "192.0.2.1"},
    "policy.changed": {"file": "policy.toml", "sha256": "a" * 64, "by": "start"},
}


def lines(*actions: str, **details: Any) -> list[bytes]:
    """One record for each of *actions*, linked. *details*: of all of them, in place of DETAILS."""
    drafts = [draft(action, _user_of(action), details or DETAILS.get(action, {"reason": "x"})) for action in actions]
    data, _, _ = link(drafts, EMPTY, TIME)
    return data.splitlines(keepends=True)


def records(*actions: str, with_texts: bool = True, **details: Any) -> list[LoggedRecord]:
    return [LoggedRecord.read(line, with_texts=with_texts) for line in lines(*actions, **details)]


def every_action() -> Sequence[str]:
    return sorted(ACTIONS)


def _user_of(action: str) -> str | None:
    return "alice" if action.startswith(("ask.", "token.")) else None
