"""What the index keeps of a line: the texts in it, without digests, within bounds."""

from __future__ import annotations

import pytest

from app.audit.format.record import GENESIS_HASH, draft, line_of
from app.audit.index.facts import MAX_TEXT, facts_of, spaced, tag, words_of

LINE, HASH = line_of(
    draft("ask.received", "alice", {"query": "hello"}, "ab" * 16), 7, "2026-11-20T09:00:00.500000Z", GENESIS_HASH
)


def test_a_line_gives_its_facts() -> None:
    facts = facts_of(LINE)
    assert (facts.seq, facts.user, facts.action, facts.day) == (7, "alice", "ask.received", "2026-11-20")
    assert facts.time == 1_795_165_200_500
    assert facts.text == f"{'ab' * 16} {HASH} hello"


def test_what_is_no_record_is_refused() -> None:
    for line in (b"{}", b"[]", b"\xff", b'{"details": 1}'):
        with pytest.raises((ValueError, KeyError, TypeError)):
            facts_of(line)


def test_all_texts_are_found_whatever_they_are_in_and_digests_are_not() -> None:
    details = {"messages": [{"role": "user", "content": [{"text": "deep"}]}], "sha": "0" * 64, "n": 3, "code": "x"}
    assert words_of(details) == "user deep x"
    assert len(words_of({"a": "b" * (MAX_TEXT + 1)})) == MAX_TEXT


def test_characters_of_scripts_without_spaces_are_words() -> None:
    assert spaced("a東京b") == "a 東  京 b"
    assert spaced("plain") == "plain"


def test_a_tag_is_one_word_whatever_the_name() -> None:
    assert tag("m", 'a" OR *') == "m_6122204f52202a"
