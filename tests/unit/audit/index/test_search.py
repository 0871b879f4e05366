"""What a search finds: by principal, action, model, time and words, newest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit.format.record import draft
from app.audit.index.search import MAX_COUNTED, Filter, known_names, match_words, search
from app.audit.storage.append import append
from app.errors import Unavailable

from ....support.indexed import START, Indexed
from ....support.tables import for_each

NOW = round(START.timestamp() * 1000)


@pytest.fixture
def path(indexed: Indexed) -> Path:
    """1 and 2: alice; 3 and 4: bobby, an hour later; 5: a refusal of alice."""
    indexed.ask("alice", "Where is the café in Zürich?", "In the old town.")
    indexed.ask("bobby", "東京から大阪までの距離は", "About 400 km", model="llama", seconds=3600)
    indexed.add("request.refused", "alice", 7200, code="rate_limited", path="/v1/chat'; DROP TABLE records--")
    return indexed.build()


@for_each(
    ("wanted", "seqs"),
    [
        (Filter(), [5, 4, 3, 2, 1, 0]),
        (Filter(limit=2), [5, 4]),
        (Filter(before=3), [2, 1, 0]),
        (Filter(user="alice"), [5, 2, 1]),
        (Filter(user="nobody"), []),
        (Filter(action="ask.received"), [3, 1]),
        (Filter(model="llama"), [4, 3]),
        (Filter(user="bobby", action="ask.answered", model="llama"), [4]),
        (Filter(since=NOW + 3_600_000), [5, 4, 3]),
        (Filter(until=NOW + 3_600_000), [2, 1, 0]),
        (Filter(since=NOW + 10**9), []),
        (Filter(text="cafe zurich"), [1]),
        (Filter(text="CAF"), [1]),
        (Filter(text="town", user="bobby"), []),
        (Filter(text="old", user="alice", action="ask.answered", model="gpt"), [2]),
        (Filter(text="大阪"), [3]),
        (Filter(text="阪大"), []),
        (Filter(text="drop table"), [5]),
        (Filter(text='" OR text : "old'), []),
        (Filter(text="*"), []),
        (Filter(text="u_616c696365"), []),
        (Filter(text="   "), [5, 4, 3, 2, 1, 0]),
    ],
)
def test_a_search_finds(path: Path, wanted: Filter, seqs: list[int]) -> None:
    assert search(path, wanted).seqs == seqs


def test_a_search_counts_no_further_than_a_person_reads(indexed: Indexed) -> None:
    append(indexed.store.append, [draft("log.alive", None, {}) for _ in range(MAX_COUNTED + 50)])
    found = search(indexed.build(), Filter(limit=10))
    assert (len(found.seqs), found.count, found.indexed) == (10, MAX_COUNTED + 1, MAX_COUNTED + 51)


def test_no_word_is_a_query_of_its_own() -> None:
    assert match_words('a" OR b*') == 'text : "a"* AND text : "OR"* AND text : "b"*'


def test_lists_to_choose_from_name_what_was_asked(path: Path) -> None:
    assert known_names(path) == {"models": ["gpt", "llama"], "users": ["alice", "bobby"]}
    assert known_names(path, "alice") == {"models": ["gpt"], "users": ["alice"]}


def test_without_an_index_a_search_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="being built"):
        search(tmp_path / "none.sqlite3", Filter())
