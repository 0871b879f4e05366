"""Codings are undone exactly, in bounded steps, however their bytes arrive; what is broken or cut is refused."""

from __future__ import annotations

import gzip
import random
import tracemalloc

import pytest

from app.kit.content_coding import CODINGS, MAX_PARTS, STEP_BYTES, Decoder

from ...support.codings import PACKED, zstd
from ...support.tables import for_each

TEXTS = {
    "nothing": b"",
    "one byte": b"x",
    "a sentence": b"What is the capital of France? " * 40,
    "noise": random.Random(7).randbytes(300_000),
    "a megabyte of one byte": b"a" * 1_000_000,
    "a step exactly": b"b" * STEP_BYTES,
}
CASES = [(coding, name) for coding in PACKED for name in TEXTS]


def decoded(coding: str, *pieces: bytes) -> bytes:
    decoder = Decoder(coding)
    parts = [part for piece in pieces for part in decoder.feed(piece)]
    decoder.finish()
    assert max(map(len, parts), default=0) <= STEP_BYTES
    return b"".join(parts)


def test_every_coding_that_is_offered_is_tested() -> None:
    assert set(CODINGS) == set(PACKED)


@for_each(("coding", "name"), CASES)
def test_what_was_encoded_comes_back_in_bounded_steps(coding: str, name: str) -> None:
    assert decoded(coding, PACKED[coding](TEXTS[name])) == TEXTS[name]


@for_each(("coding", "name"), CASES)
def test_it_comes_back_however_it_is_cut_into_pieces(coding: str, name: str) -> None:
    whole = PACKED[coding](TEXTS[name])
    size = 1 if len(whole) < 5_000 else 4_093
    assert decoded(coding, *(whole[at : at + size] for at in range(0, len(whole), size))) == TEXTS[name]


@pytest.mark.parametrize("coding", PACKED)
def test_members_and_frames_that_follow_another_are_joined(coding: str) -> None:
    encode = PACKED[coding]
    assert decoded(coding, encode(b"one ") + encode(b"") + encode(b"two")) == b"one two"


@pytest.mark.parametrize("coding", PACKED)
def test_every_cut_is_noticed(coding: str) -> None:
    whole = PACKED[coding](TEXTS["a sentence"])
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=f"ends before its {coding} does"):
            decoded(coding, whole[:length])


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("broken", [b"{}", b"not encoded", b"\0" * 40])
def test_what_is_not_encoded_is_refused(coding: str, broken: bytes) -> None:
    with pytest.raises(ValueError, match=f"is not valid {coding}"):
        decoded(coding, broken)
    with pytest.raises(ValueError, match=f"is not valid {coding}"):
        decoded(coding, PACKED[coding](b"{}") + broken)


def test_a_wrong_checksum_is_refused() -> None:
    whole = gzip.compress(b"What is 2+2?")
    with pytest.raises(ValueError, match="is not valid gzip"):
        decoded("gzip", whole[:-8] + b"\0\0\0\0" + whole[-4:])


def test_a_zstd_window_beyond_rfc_9659_is_refused() -> None:
    """Else forty bytes would make this process allocate gigabytes."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    with pytest.raises(ValueError, match="is not valid zstd"):
        decoded("zstd", compressor.compress(b"x") + compressor.flush())


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.slow
def test_a_bomb_takes_no_more_memory_than_a_step(coding: str) -> None:
    bomb = PACKED[coding](b"0" * (64 << 20))
    decoder = Decoder(coding)
    tracemalloc.start()
    try:
        assert sum(map(len, decoder.feed(bomb))) == 64 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * STEP_BYTES


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_liberal_reader_ignores_what_begins_no_member(coding: str, size: int) -> None:
    whole = PACKED[coding](b"one ") + PACKED[coding](b"two")
    for rest in (b"\0", b"\0" * 50, b"\x1fx", b"(garbage", b"\x1f", b"\x28\xb5"):
        decoder, data = Decoder(coding, is_liberal=True), whole + rest + PACKED[coding](b"three") * (len(rest) > 2)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert b"".join(part for piece in pieces for part in decoder.feed(piece)) == b"one two"
        decoder.finish()
    decoder = Decoder(coding, is_liberal=True)
    assert b"".join(decoder.feed(whole + PACKED[coding](b"three")[:-5]))[:7] == b"one two"
    with pytest.raises(ValueError, match="ends before"):
        decoder.finish()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_body_of_too_many_members_is_refused(coding: str) -> None:
    """Each may hold nothing, and begins a decoder all the same."""
    member = PACKED[coding](b"")
    assert b"".join(Decoder(coding).feed(member * MAX_PARTS)) == b""
    with pytest.raises(ValueError, match="too many parts"):
        list(Decoder(coding).feed(member * (MAX_PARTS + 1)))
