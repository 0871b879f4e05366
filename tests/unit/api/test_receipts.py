"""A receipt is the last member of an answer, whose other bytes stay as they came."""

from __future__ import annotations

import orjson
import pytest

from app.api.receipts import with_receipt
from app.audit.format.record import Receipt

RECEIPT = Receipt(41, "ab" * 32)
MEMBER = b'"receipt":{"seq":41,"hash":"' + b"ab" * 32 + b'"}'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", b"{" + MEMBER + b"}"),
        (b'{"a":1}', b'{"a":1,' + MEMBER + b"}"),
        (b'{ "a" : 1.0e2,\n "b":"}" }\n', b'{ "a" : 1.0e2,\n "b":"}" ,' + MEMBER + b"}"),
        (b'{"choices":[{"receipt":1}]}\r\n ', b'{"choices":[{"receipt":1}],' + MEMBER + b"}"),
    ],
)
def test_all_bytes_before_the_receipt_stay_as_they_came(raw: bytes, expected: bytes) -> None:
    document = orjson.loads(raw)
    assert with_receipt(raw, document, RECEIPT) == expected
    assert orjson.loads(expected) == {**document, "receipt": {"seq": 41, "hash": "ab" * 32}}


def test_a_receipt_of_another_service_behind_this_one_is_replaced() -> None:
    raw = b'{"receipt": {"seq": 1, "hash": "cd"}, "a": 1}'
    given = orjson.loads(with_receipt(raw, orjson.loads(raw), RECEIPT))
    assert given == {"receipt": {"seq": 41, "hash": "ab" * 32}, "a": 1}
