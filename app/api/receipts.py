"""How an answer shows its receipt: as a member of a JSON document, and in headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..audit.format.record import Receipt
from ..kit.foreign_json import dumps


def receipt_member(receipt: Receipt) -> dict[str, Any]:
    return {"seq": receipt.seq, "hash": receipt.hash}


def receipt_headers(receipt: Receipt) -> dict[str, str]:
    """The headers that name a record."""
    return {"x-audit-seq": str(receipt.seq), "x-audit-hash": receipt.hash}


def with_receipt(raw: bytes, document: Mapping[str, Any], receipt: Receipt) -> bytes:
    """*raw*, the bytes of the JSON object *document*, with the member `receipt` at its end."""
    if "receipt" in document:  # of another service like ours, behind this one
        return dumps({**document, "receipt": receipt_member(receipt)})
    member = b'"receipt":{"seq":%d,"hash":"%b"}' % (receipt.seq, receipt.hash.encode())
    return b"%b%b%b}" % (raw.rstrip()[:-1], b"," if document else b"", member)
