"""How an answer shows its receipt; of an answer's own bytes nothing changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.receipts import call_headers, receipt_headers, with_receipt
from app.audit.format.record import Receipt
from app.upstream.call import Clamped

from ...support.asking import prepared

RECEIPT = Receipt(7, "a" * 64)
MEMBER = {"seq": 7, "hash": "a" * 64}


@given(
    document=st.dictionaries(st.text(max_size=5).filter(lambda name: name != "receipt"), st.integers() | st.text(), max_size=4),
    indent=st.none() | st.integers(0, 2),
    end=st.sampled_from(["", "\n", " \r\n"]),
)
def test_the_receipt_is_the_last_member_and_the_bytes_before_it_are_kept(
    document: dict[str, Any], indent: int | None, end: str
) -> None:
    raw = (json.dumps(document, indent=indent) + end).encode()
    data = with_receipt(raw, document, RECEIPT)
    assert json.loads(data) == {**document, "receipt": MEMBER}
    assert list(json.loads(data))[-1] == "receipt"
    assert data.startswith(raw.rstrip()[:-1])


def test_the_exact_bytes_of_the_member() -> None:
    assert with_receipt(b'{"a": 1}', {"a": 1}, RECEIPT) == b'{"a": 1,"receipt":{"seq":7,"hash":"%b"}}' % (b"a" * 64)
    assert with_receipt(b"{}", {}, RECEIPT).startswith(b'{"receipt":{"seq":7,')


def test_an_alias_that_was_asked_for_stands_before_the_receipt() -> None:
    raw, document = b'{"model": "real"}', {"model": "real"}
    data = with_receipt(raw, document, RECEIPT, 'gpt-5-"mini"')
    assert data.startswith(b'{"model": "real","asked_model":"gpt-5-\\"mini\\"","receipt":{')
    again = with_receipt(data, json.loads(data), RECEIPT, "nano")
    assert json.loads(again) == {"model": "real", "asked_model": "nano", "receipt": MEMBER}


def test_what_was_lowered_is_told_in_a_header() -> None:
    assert call_headers(prepared()) == {}
    assert call_headers(prepared(clamped=Clamped("max_tokens", 200_000, 131_072))) == {"x-clamped": "max_tokens=200000->131072"}


@pytest.mark.parametrize("foreign", [{"seq": 1, "hash": "b" * 64}, None, "x"])
def test_a_receipt_of_another_gateway_is_replaced(foreign: Any) -> None:
    document = {"a": 1, "receipt": foreign, "b": 2}
    data = with_receipt(json.dumps(document).encode(), document, RECEIPT)
    assert json.loads(data) == {"a": 1, "receipt": MEMBER, "b": 2}
    assert data.count(b'"receipt"') == 1


def test_the_headers_of_an_answer_name_its_record() -> None:
    assert receipt_headers(RECEIPT) == {"x-audit-seq": "7", "x-audit-hash": "a" * 64}
