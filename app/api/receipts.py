"""What an answer shows besides: its receipt, the alias asked for, and what was lowered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..assistant.models import Served
from ..audit.format.record import Receipt
from ..kit.foreign_json import dumps
from ..upstream.call import PreparedCall

CLAMPED = "x-clamped"
RECEIPT_HEADERS = {
    "x-audit-seq": {"schema": {"type": "integer", "minimum": 0}},
    "x-audit-hash": {"schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    "x-attempts": {"schema": {"type": "integer", "minimum": 1}},
    "x-answered-by": {"schema": {"type": "string"}},
}
"""As the description has them."""


def receipt_member(receipt: Receipt) -> dict[str, Any]:
    return {"seq": receipt.seq, "hash": receipt.hash}


def receipt_headers(receipt: Receipt) -> dict[str, str]:
    """The headers that name a record."""
    return {"x-audit-seq": str(receipt.seq), "x-audit-hash": receipt.hash}


def call_headers(call: PreparedCall) -> dict[str, str]:
    """What was lowered of a request."""
    clamped = call.clamped
    return {} if clamped is None else {CLAMPED: f"{clamped.name}={clamped.asked}->{clamped.sent}"}


def served_headers(served: Served) -> dict[str, str]:
    """How often the question was sent; and which model answered, if not the one that was asked."""
    attempts = {"x-attempts": str(served.attempts)}
    return attempts if served.model is None else attempts | {"x-answered-by": served.model}


def with_receipt(raw: bytes, document: Mapping[str, Any], receipt: Receipt, asked_model: str | None = None) -> bytes:
    """*raw*, the bytes of the JSON object *document*, with the member `receipt` at its end.

    Before it stands *asked_model*, if the caller used an alias.
    """
    return b"".join(pieces_with_receipt(raw, document, receipt, asked_model))


def pieces_with_receipt(
    raw: bytes, document: Mapping[str, Any], receipt: Receipt, asked_model: str | None = None
) -> tuple[memoryview, bytes]:
    """`with_receipt`, without a copy of *raw*."""
    own: dict[str, Any] = {} if asked_model is None else {"asked_model": asked_model}
    own["receipt"] = receipt_member(receipt)
    if not own.keys().isdisjoint(document):  # of another service like ours, behind this one
        return memoryview(dumps({**document, **own})), b""
    return memoryview(raw.rstrip())[:-1], (b"," if document else b"") + dumps(own)[1:]
