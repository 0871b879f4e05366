"""Signed notes and checkpoints (C2SP): what is accepted, to the byte, and that nothing else is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.note import (
    Checkpoint,
    Signer,
    VerifierKey,
    is_key_name,
    parse_checkpoint,
    parse_note,
    sign_checkpoint,
    verify_checkpoint,
    verify_note,
)
from app.errors import VerificationFailed

from ....support.paths import CORPORA
from ....support.tables import for_each

VECTORS = json.loads((CORPORA / "signed_note" / "vectors.json").read_bytes())
SIGNER = Signer("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = Signer("witness.example", Ed25519PrivateKey.from_private_bytes(b"w" * 32))
KEY = SIGNER.verifier_key
ROOT = bytes(range(100, 132))
SIGNED = sign_checkpoint(7, ROOT, SIGNER)
EM_DASH = "—".encode()


def refused(check: Callable[..., Any], *evidence: Any) -> bool:
    try:
        check(*evidence)
    except VerificationFailed:
        return True
    return False


@for_each("case", [one for one in VECTORS if "vkey" not in one], ids=lambda case: case["desc"])
def test_checkpoint_texts_of_another_implementation_are_judged_as_there(case: dict[str, Any]) -> None:
    assert refused(parse_checkpoint, case["text"]) == case["wantErr"]
    if not case["wantErr"]:
        assert parse_checkpoint(case["text"]).text() == case["text"]


@pytest.mark.parametrize("case", [one for one in VECTORS if "vkey" in one], ids=lambda case: case["desc"])
def test_the_note_of_the_specification_verifies(case: dict[str, Any]) -> None:
    key = VerifierKey.parse(case["vkey"])
    assert key.text() == case["vkey"]
    assert verify_note(case["text"].encode(), [key]) == "This is an example message.\n"
    assert refused(verify_note, case["text"].replace("example m", "example M").encode(), [key])


def test_a_signed_checkpoint_has_these_exact_bytes() -> None:
    assert KEY.text() == "example.com/log+d455c521+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    assert SIGNED.decode() == (
        "example.com/log\n7\nZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=\n\n"
        "— example.com/log 1FXFIYdNno390nab6oC2W+w43Yfzf71j/hdBbdfyQxTNG/DNrqLyk8fKFjM5pCrXwuE4nYHyAjA19E6snw5Kq41m5g8=\n"
    )


def test_a_checkpoint_is_what_was_signed() -> None:
    assert verify_checkpoint(SIGNED, KEY) == Checkpoint("example.com/log", 7, ROOT)
    assert sign_checkpoint(7, ROOT, SIGNER) == SIGNED


@given(st.integers(0, len(SIGNED) * 8 - 1))
def test_a_checkpoint_with_any_bit_flipped_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNED)
    flipped[bit // 8] ^= 1 << bit % 8
    assert refused(verify_checkpoint, bytes(flipped), KEY)


@given(st.integers(0, len(SIGNED) - 1), st.integers(0, len(SIGNED)), st.binary(min_size=1, max_size=3))
def test_a_checkpoint_that_is_cut_or_stuffed_is_refused(cut: int, at: int, more: bytes) -> None:
    assert refused(verify_checkpoint, SIGNED[:cut], KEY)
    assert refused(verify_checkpoint, SIGNED[:at] + more + SIGNED[at:], KEY)


def test_another_key_of_the_same_name_is_not_the_key() -> None:
    assert refused(verify_checkpoint, sign_checkpoint(7, ROOT, OTHER), KEY)
    assert refused(verify_checkpoint, SIGNED, OTHER.verifier_key)


def test_foreign_signatures_are_ignored_and_wrong_ones_of_our_key_are_not() -> None:
    text = "example.com/log\n7\n" + base64.b64encode(ROOT).decode() + "\n"
    witnessed = SIGNED + WITNESS.sign(text).split(b"\n\n")[1]
    assert verify_checkpoint(witnessed, KEY).size == 7
    assert verify_note(witnessed, [KEY, WITNESS.verifier_key]) == text
    wrong = SIGNED + SIGNER.sign("another text\n").split(b"\n\n")[1]
    assert refused(verify_checkpoint, wrong, KEY)
    assert refused(verify_note, SIGNED, [])


@for_each(
    "text",
    [
        "another.example/log\n7\n{root}\n",
        "example.com/log\n07\n{root}\n",
        "example.com/log\n+7\n{root}\n",
        "example.com/log\n７\n{root}\n",
        "example.com/log\n9223372036854775808\n{root}\n",
        "example.com/log\n7\n{root}",
        "example.com/log\n7\n{root} \n",
        "example.com/log\n7\nYmFuYW5hcw==\n",
        "example.com/log\n7\n{root}\nextension\n\nanother\n",
        "\n7\n{root}\n",
    ],
)
def test_a_signature_does_not_make_a_checkpoint_of_a_text_that_is_none(text: str) -> None:
    whole = text.format(root=base64.b64encode(ROOT).decode())
    note = SIGNER.sign(whole) if whole.endswith("\n") else SIGNER.sign(whole + "\n").replace(b"\n\n", b"\n", 1)
    assert refused(verify_checkpoint, note, KEY)


def test_base64_has_one_spelling() -> None:
    line = SIGNED.split(b" ")[-1]
    for other in (line.replace(b"=", b""), line[:-1] + b"=\n", line.replace(b"+", b"-").replace(b"/", b"_"), b" " + line):
        assert other == line or refused(verify_checkpoint, SIGNED.removesuffix(line) + other, KEY)
    loose = base64.b64encode(ROOT).decode()[:-2] + "P="  # unused bits set
    assert refused(parse_checkpoint, f"example.com/log\n7\n{loose}\n")


@for_each(
    "data",
    [
        *(b"", b"\n", b"\n\n", b"text\n", b"text\n\n", SIGNED[:-1], SIGNED + b"\n", SIGNED.replace(b"\n", b"\r\n")),
        *(SIGNED.replace(EM_DASH, b"-"), SIGNED.replace(EM_DASH + b" ", EM_DASH + b"\t"), b"\xff" + SIGNED, b"\0" + SIGNED),
        SIGNED.replace(EM_DASH + b" example", EM_DASH + b" exa+mple"),
        *(b"a\n\n" + EM_DASH + b" b AAAAAA==\n", b"x" * 70_000 + SIGNED),
        SIGNED + SIGNED.split(b"\n\n")[1] * 64,
    ],
)
def test_a_malformed_note_is_refused_before_any_signature_is_checked(data: bytes) -> None:
    assert refused(parse_note, data)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\nb", "a\x00b", "a\u3000", "\ud800"])
def test_names_that_no_key_may_have(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(ValueError, match="name"):
        VerifierKey(name, bytes(32))


@for_each(
    "change",
    [
        lambda text: text.replace("+", " ", 1),
        lambda text: text.replace("example", "Example"),
        lambda text: text[:-4],
        lambda text: text + "\n\n",
        lambda text: " " + text,
        lambda text: text.split("+")[0],
        lambda text: "",
        lambda text: "+".join([(parts := text.split("+", 2))[0], "00000000", parts[2]]),
        lambda text: text.replace(text.split("+")[1], text.split("+")[1].upper() + "0"),
        lambda text: text.split("+")[0] + "+" + text.split("+")[1] + "+" + base64.b64encode(b"\2" + KEY.public).decode(),
    ],
)
def test_a_verifier_key_that_is_not_exactly_one_is_refused(change: Callable[[str], str]) -> None:
    assert VerifierKey.parse(KEY.text() + "\n") == KEY
    assert refused(VerifierKey.parse, change(KEY.text()))


@pytest.mark.parametrize("text", ["no newline", "a\r\n", "tab\there\n", "nul\0\n", "x" * 40_000 + "\n"])
def test_a_text_that_no_note_may_hold_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="note"):
        SIGNER.sign(text)


def test_no_checkpoint_is_signed_without_a_size_and_a_root() -> None:
    for size, root in ((-1, ROOT), (2**63, ROOT), (1, b""), (1, ROOT[:-1])):
        with pytest.raises(ValueError, match="checkpoint"):
            sign_checkpoint(size, root, SIGNER)
