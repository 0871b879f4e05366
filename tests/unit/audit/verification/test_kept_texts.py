"""Long texts that records name: kept, missing, unreadable or damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from app.audit.format.chain import link
from app.audit.format.record import EMPTY, draft
from app.audit.storage.long_texts import LongTexts
from app.audit.verification.kept_texts import DamagedText, TextsReport

from ....support.checked import check_texts
from ....support.evidence import STAMP

TEXT = b"long " * 20_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def named(*contents: bytes) -> dict[str, bytes]:
    return {sha256(one): one for one in contents}


def lines_with(*details: Mapping[str, object]) -> list[bytes]:
    data, _, _ = link([draft("ask.received", "alice", one) for one in details], EMPTY, STAMP)
    return data.splitlines(keepends=True)


def test_texts_are_found_kept_missing_damaged_or_unreadable_each_once(tmp_path: Path) -> None:
    contents = [bytes([letter]) * 70_000 for letter in b"abcde"]
    lines = lines_with(*({"query": one.decode()} for one in [*contents, contents[2]]), {"query": "short"})
    kept = LongTexts(tmp_path / "texts")
    assert check_texts(kept, lines) == TextsReport(missing=5)
    kept.keep(named(*contents[:4], b"of another log"))
    assert check_texts(kept, lines) == TextsReport(kept=4, missing=1)
    damaged, unreadable = kept.path_of(sha256(contents[2])), kept.path_of(sha256(contents[3]))
    damaged.write_bytes(contents[2][:-1] + b"!")
    unreadable.unlink()
    unreadable.mkdir()
    found = check_texts(kept, lines)
    assert found == TextsReport(kept=2, missing=1, unreadable=1, damaged=(DamagedText(2, damaged.name),))


def test_a_callers_words_damage_nothing_and_name_at_most_what_is_missing(tmp_path: Path) -> None:
    kept = LongTexts(tmp_path / "texts")
    kept.keep(named(TEXT))
    (name,) = named(TEXT)
    quoted = '{"sha256":"%s","bytes":1}' % ("0" * 64)
    lines = lines_with({"query": quoted, quoted: [quoted]}, {"params": {"sha256": name, "bytes": 1}, "n": TEXT.decode()})
    assert check_texts(kept, lines) == TextsReport(kept=1)
    others = {"delivered": {"bytes": 1, "sha256": "0" * 64}, "torn": {"text": "x", "sha256": "0" * 64, "bytes": 1}}
    assert check_texts(kept, lines_with(others)) == TextsReport()
    forged = lines_with({"params": {"mine": {"sha256": "0" * 64, "bytes": 1}}})
    assert check_texts(kept, forged) == TextsReport(missing=1)
    assert check_texts(kept, [b'{"sha256":"%s","bytes":1}\n' % (b"0" * 64)]) == TextsReport()  # no record
