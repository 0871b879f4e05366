"""Strict base64: what was encoded comes back, and no bytes have two spellings."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.base64 import decode_base64, decode_base64url

from ...support.tables import for_each


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def encode_url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@given(data=st.binary(max_size=50))
def test_what_was_encoded_comes_back(data: bytes) -> None:
    assert decode_base64(encode(data)) == data
    assert decode_base64url(encode_url(data)) == data


@given(text=st.text("Aa0+/-_= \né", max_size=9))
@pytest.mark.parametrize(("decode", "encode"), [(decode_base64, encode), (decode_base64url, encode_url)])
def test_text_is_refused_or_is_the_one_spelling_of_its_bytes(
    decode: Callable[[str], bytes], encode: Callable[[bytes], str], text: str
) -> None:
    try:
        data = decode(text)
    except ValueError:
        return
    assert encode(data) == text


@for_each("text", ["_w==", "-_-_", "/w", "/w=", "/x==", "/w===", " /w==", "/w==\n", "/w==AA==", "=", "é"])
def test_standard_base64_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        decode_base64(text)


@pytest.mark.parametrize("text", ["/w", "+/+/", "_w==", "_x", "_", " _w", "_w\n", "_w.", "é"])
def test_url_safe_base64_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        decode_base64url(text)


def test_the_error_says_whether_it_is_base64_at_all() -> None:
    with pytest.raises(ValueError, match=r"^not canonical base64$"):
        decode_base64("/x==")
    with pytest.raises(ValueError, match=r"^not canonical base64url$"):
        decode_base64url("_x")
    with pytest.raises(ValueError, match=r"^not base64$"):
        decode_base64("?")
