"""The form of a key: found by a pattern, told from other text by its checksum, and never equal to another."""

from __future__ import annotations

import re
import zlib

import pytest

from app.kit.secret_look import looks_secret
from app.security.api_keys.form import DIGITS, KeyRefused, checksum, is_key_id, make_key, verify_form
from app.security.token_errors import TokenError

from ....support.tables import for_each

ZEROS = make_key(bytes)
ONES = make_key(lambda count: b"\xff" * count)


def base62(number: int, count: int) -> str:
    return "".join(DIGITS[number // 62**place % 62] for place in reversed(range(count)))


def test_a_key_is_64_characters_that_hold_all_random_bits() -> None:
    text = "saa_" + base62(2**64 - 1, 11) + base62(2**256 - 1, 43)
    assert (base62(2**64 - 1, 11), text + base62(zlib.crc32(text.encode()), 6)) == ONES
    assert ZEROS.key == "saa_" + "0" * 54 + checksum("saa_" + "0" * 54)
    assert 62**10 < 2**64 <= 62**11
    assert 62**42 < 2**256 <= 62**43


@pytest.mark.parametrize("new", [ZEROS, ONES])
def test_a_secret_scanner_finds_it_and_its_checksum_proves_it(new: tuple[str, str]) -> None:
    key_id, key = new
    assert re.search(r"\bsaa_[0-9A-Za-z]{60}\b", f"export OPENAI_API_KEY={key};")
    assert verify_form(key) == key_id
    assert is_key_id(key_id)
    assert looks_secret(ONES.key), "where it stands in a place that records show"


WRONG = {
    "nothing": "",
    "cut": ONES.key[:-1],
    "longer": ONES.key + "0",
    "a newline": ONES.key + "\n",
    "another prefix": "sab_" + ONES.key[4:],
    "in capitals": ONES.key.upper(),
    "two digits swapped": ONES.key[:20] + ONES.key[21] + ONES.key[20] + ONES.key[22:],
    "another digit": ONES.key[:30] + "0" + ONES.key[31:],
    "another checksum": ONES.key[:-6] + "000000",
    "other digits": ONES.key[:-1] + "٣",
    "half a character": ONES.key[:-1] + "\ud800",
}


@for_each("name", WRONG)
def test_any_other_text_is_refused_alike(name: str) -> None:
    assert WRONG[name] not in (ONES.key, ZEROS.key)
    with pytest.raises(KeyRefused) as caught:
        verify_form(WRONG[name])
    assert isinstance(caught.value, TokenError)
    assert (caught.value.reason, caught.value.key_id) == ("malformed", None)


def test_the_id_of_a_key_is_not_a_whole_key() -> None:
    assert [is_key_id(one) for one in (ONES.key, "", "0" * 10, "0" * 12, "0" * 11 + "\n", "-" * 11)] == [False] * 6
