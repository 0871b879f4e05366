"""One record as a line of a list: what a person wants to see of it first."""

from __future__ import annotations

from typing import Any

import orjson

MAX_TEXT = 240
TEXTS = ("query", "answer", "code", "what", "path", "client_id", "key_id", "server", "id", "why", "kept_as", "reason", "origin")
"""The member of `details` that says most, the first that is there."""
PROOF = ("address", "credential", "by")


def summary_of(line: bytes) -> dict[str, Any]:
    """Of a stored line. What cannot be read is left out."""
    try:
        record = orjson.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        return {"seq": -1, "text": "This line is no record.", "action": "", "timestamp": "", "user_id": None}
    details = _object(record.get("details"))
    usage = _object(details.get("usage"))
    return {
        **{name: record.get(name) for name in ("seq", "timestamp", "request_id", "user_id", "action", "hash")},
        "model": details.get("model") if isinstance(details.get("model"), str) else None,
        "by": details.get("by") if isinstance(details.get("by"), str) else None,
        "code": details.get("code") if isinstance(details.get("code"), str) else None,
        "text": text_of(details)[:MAX_TEXT],
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "elapsed_ms": details.get("elapsed_ms"),
        "received": details.get("received"),
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def text_of(details: dict[str, Any]) -> str:
    messages = details.get("messages")
    if isinstance(messages, str):
        return messages
    if isinstance(messages, list) and messages:
        return _said(messages[-1])
    for name in TEXTS:
        value = details.get(name)
        if value not in (None, ""):
            return value if isinstance(value, str) else _said(value)
    return ", ".join(f"{name} {value}" for name, value in details.items() if name not in PROOF and isinstance(value, str | int))


def _said(value: Any) -> str:
    """The text of a message, whatever its protocol; else its JSON."""
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return str(value["content"])
    parts = value.get("content") if isinstance(value, dict) else None
    if isinstance(parts, list):
        return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)
    return value if isinstance(value, str) else orjson.dumps(value).decode()
