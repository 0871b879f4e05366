"""The demo's attacker: a changed word is found by its hash, a whole new chain by nothing but signatures."""

from __future__ import annotations

from pathlib import Path

from app.audit.format.chain import link
from app.audit.format.record import EMPTY, draft, split_lines
from app.cli.tampering import change_word, rehash

from ...support.chain import check_chain

QUESTION = {"query": 'What is the capital of France? \u2028 \\ " é', "n": [1.5, None, True]}


def write_log(path: Path) -> bytes:
    drafts = [
        draft("log.opened", None, {}),
        draft("ask.received", "alice", QUESTION),
        draft("ask.received", "alice", QUESTION),
        draft("ask.failed", None, {"received": 1}),
    ]
    data = link(drafts, EMPTY, "2026-01-02T03:04:05.678901Z")[0]
    path.write_bytes(data)
    return data


def problems(path: Path) -> list[int | None]:
    return [finding.seq for finding in check_chain(split_lines([path.read_bytes()])).findings]


def test_the_first_word_is_changed_and_its_record_is_to_blame(tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = write_log(log)
    assert change_word(log, b"France", b"Trance") == 1
    assert log.read_bytes() == before.replace(b"France", b"Trance", 1)
    assert problems(log) == [1]


def test_a_rehashed_log_is_a_whole_chain_with_other_hashes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = write_log(log)
    rehash(log, change_word(log, b"France", b"Trance"))
    assert problems(log) == []
    lines, others = before.splitlines(), log.read_bytes().splitlines()
    assert [line == other for line, other in zip(lines, others, strict=True)] == [True, False, False, False]


def test_rehashing_what_was_not_changed_changes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = write_log(log)
    rehash(log, 0)
    assert log.read_bytes() == before
