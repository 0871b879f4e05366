"""A pack that was changed anywhere is not believed, and one that is none is refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from app.admin.evidence_pack.verify_pack import VerifiedPack, verify_pack
from app.errors import InvalidRequest, VerificationFailed

from ....support.evidence import OTHER_SIGNER, SIGNER
from ....support.mutated_logs import LOG
from ....support.mutated_slices import slice_of

PACK = Path("pack.zip")
TEXT = "texts/2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
FILES = {
    "log.jsonl": b"".join(line + b"\n" for line in LOG.lines[9:]),
    "slice": slice_of(9).encode(),
    "log.vkey": SIGNER.verifier_key.text().encode() + b"\n",
    TEXT: b"hello",
}


def write(**changes: bytes | None) -> None:
    with ZipFile(PACK, "w") as zip_file:
        for name, data in {**FILES, **{key.replace("log_", "log."): data for key, data in changes.items()}}.items():
            if data is not None:
                zip_file.writestr(name, data)


def verified() -> VerifiedPack:
    return verify_pack(PACK, SIGNER.verifier_key)


def test_a_pack_is_what_its_key_signed() -> None:
    write()
    found = verified()
    assert (found.ok, found.same_key, found.texts, found.changed_texts) == (True, True, 1, ())
    assert (found.report.first, found.report.entries, found.report.signed) == (9, 15, True)


def test_the_key_that_counts_is_the_one_that_was_given() -> None:
    write(log_vkey=OTHER_SIGNER.verifier_key.text().encode())
    assert (verified().ok, verified().same_key) == (True, False)
    with pytest.raises(VerificationFailed):
        verify_pack(PACK, OTHER_SIGNER.verifier_key)
    assert verify_pack(PACK, None).report.signed is False


CHANGES: dict[str, Callable[[], None]] = {
    "a record": lambda: write(log_jsonl=FILES["log.jsonl"].replace(b'"12"', b'"13"')),
    "a record less": lambda: write(log_jsonl=FILES["log.jsonl"].partition(b"\n")[2]),
    "the end": lambda: write(log_jsonl=FILES["log.jsonl"][:-400]),
    "a long text": lambda: write(**{TEXT: b"hallo"}),
    "another slice": lambda: write(slice=slice_of(8).encode()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_is_found(what: str) -> None:
    CHANGES[what]()
    assert not verified().ok


@pytest.mark.parametrize("name", ["log_jsonl", "slice", "log_vkey"])
def test_a_pack_that_lacks_a_part_is_refused(name: str) -> None:
    write(**{name: None})
    with pytest.raises(InvalidRequest, match="not an evidence pack, or it is damaged"):
        verified()


def deflate_broken(data: bytearray) -> None:
    at = data.index(b"slice") + len(b"slice")
    data[at : at + 4] = b"\xff" * 4


def encrypted(data: bytearray) -> None:
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1


@pytest.mark.parametrize("damage", [deflate_broken, encrypted])
def test_a_zip_that_cannot_be_read_is_refused(damage: Callable[[bytearray], None]) -> None:
    with ZipFile(PACK, "w", ZIP_DEFLATED) as zip_file:
        zip_file.writestr("slice", b"x" * 500)
    data = bytearray(PACK.read_bytes())
    damage(data)
    PACK.write_bytes(data)
    with pytest.raises(InvalidRequest, match="not an evidence pack, or it is damaged"):
        verified()


def test_another_file_is_refused() -> None:
    PACK.write_bytes(b"PK but no pack")
    with pytest.raises(InvalidRequest, match="not an evidence pack"):
        verified()


def test_damage_to_the_file_is_named() -> None:
    write()
    data = bytearray(PACK.read_bytes())
    data[len(data) // 3] ^= 1
    PACK.write_bytes(data)
    with pytest.raises(InvalidRequest, match="damaged"):
        verified()
