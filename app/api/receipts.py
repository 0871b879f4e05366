"""Adds a receipt to an answer of the model's server, and changes nothing else in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ..audit.format.record import Receipt


def with_receipt(raw: bytes, document: Mapping[str, Any], receipt: Receipt) -> bytes:
    """*raw*, the bytes of the JSON object *document*, with the member `receipt` at its end."""
    if "receipt" in document:  # of another service like ours, behind this one
        return orjson.dumps({**document, "receipt": {"seq": receipt.seq, "hash": receipt.hash}})
    member = b'"receipt":{"seq":%d,"hash":"%b"}' % (receipt.seq, receipt.hash.encode())
    return b"%b%b%b}" % (raw.rstrip()[:-1], b"," if document else b"", member)
