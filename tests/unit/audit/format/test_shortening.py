"""Details too long for a line are made to fit, stay readable where possible, and name what was replaced."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.record import MAX_DETAILS_BYTES, MAX_LINE_BYTES, draft, fitting, line_of, whole_draft
from app.audit.format.shortening import DIGEST_BYTES, SHORT_TEXT_BYTES, Texts, shorten

MIB = 1 << 20


def shortened(details: dict[str, Any], room: int = MAX_DETAILS_BYTES) -> dict[str, Any]:
    """What is stored of *details*; checked against them."""
    encoded = orjson.dumps(details)
    stored, texts = shorten(encoded, room)
    assert len(stored) <= room
    kept: dict[str, Any] = orjson.loads(stored)
    named: set[str] = set()
    if "details" in kept and "details" not in details:  # replaced as a whole
        compare(kept["details"], details, texts, named)
        assert kept.get("received") == (details["received"] if type(details.get("received")) is int else None)
    else:
        compare(kept, details, texts, named)
    assert named == set(texts)
    assert sum(map(len, texts.values())) <= len(encoded)  # nothing twice
    return kept


def compare(kept: Any, original: Any, texts: Texts, named: set[str]) -> None:
    """*kept* is the original, part for part, or the digest of a part in its place, and *texts* has that part."""
    if type(kept) is type(original) and kept == original:
        return
    if isinstance(kept, dict) and set(kept) == {"sha256", "bytes"} and kept["sha256"] in texts:
        data = texts[kept["sha256"]]
        assert data == (original.encode() if isinstance(original, str) else orjson.dumps(original))
        assert kept == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        named.add(kept["sha256"])
        return
    assert type(kept) is type(original)
    assert len(kept) == len(original)
    if isinstance(kept, dict):
        assert list(kept) == list(original)
    for key in kept if isinstance(kept, dict) else range(len(kept)):
        compare(kept[key], original[key], texts, named)


def is_digest(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"sha256", "bytes"}


# --- any details ---------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
LONG = st.builds(lambda word, times: word * times, WORDS, st.integers(0, 200))
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | LONG
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(WORDS | LONG, inner, max_size=6)
        | st.builds(lambda item, times: [item] * times, inner, st.integers(0, 60))
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(WORDS | LONG | st.just("received"), JSON, max_size=8)


@given(details=OBJECTS, room=st.integers(200, 3_000))
def test_any_object_fits_and_every_digest_is_that_of_the_part_it_replaced(details: dict[str, Any], room: int) -> None:
    kept = shortened(details, room)
    if len(orjson.dumps(details)) <= room:
        assert kept == details


@pytest.mark.parametrize("details", [{}, {"a": []}, {"a": {}, "b": [[], {}]}, {"a": ["x" * 200, {"b": [None] * 30}], "é": 1}])
def test_what_fits_to_the_byte_is_left_as_it_is(details: dict[str, Any]) -> None:
    assert shortened(details, len(orjson.dumps(details))) == details


@given(details=OBJECTS)
def test_the_same_details_give_the_same_bytes(details: dict[str, Any]) -> None:
    once, texts = shorten(orjson.dumps(details), 400)
    assert shorten(orjson.dumps(details), 400) == (once, texts)


@given(item=LEAVES | st.lists(LEAVES, max_size=4), times=st.integers(1, 3_000), name=WORDS)
def test_any_record_fits_into_a_line(item: Any, times: int, name: str) -> None:
    record = whole_draft("ask.received", "u" * 32, {name: [item] * times, "x": item})
    fitted, _ = fitting(record) if len(record.details) > MAX_DETAILS_BYTES else (record, {})
    assert fitted == draft(record.action, record.user_id, {name: [item] * times, "x": item}, record.request_id)
    assert len(line_of(fitted, 10**19 - 1, "2026-11-23T09:15:02.123456Z", "f" * 64)[0]) <= MAX_LINE_BYTES


def test_no_digest_is_longer_than_assumed() -> None:
    assert len(orjson.dumps({"sha256": "0" * 64, "bytes": 10**10 - 1})) <= DIGEST_BYTES < SHORT_TEXT_BYTES


# --- what stays readable -------------------------------------------------------------------------


def test_the_longest_text_goes_first_and_only_as_many_as_must() -> None:
    details = {"messages": [{"content": "a" * 30_000}, {"content": "b" * 31_000}], "answer": "c" * 20_000}
    kept = shortened(details)
    assert kept["messages"][1]["content"]["bytes"] == 31_000
    assert (len(kept["messages"][0]["content"]), len(kept["answer"])) == (30_000, 20_000)


def test_an_image_given_as_data_is_all_that_is_replaced() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 8 * MIB}}
    message = {"role": "user", "content": [{"type": "text", "text": "What is this? " * 100}, image]}
    kept = shortened({"messages": [message], "params": {"temperature": 0.7}})
    assert is_digest(kept["messages"][0]["content"][1]["image_url"]["url"])
    assert kept["messages"][0]["content"][0] == message["content"][0]
    assert kept["params"] == {"temperature": 0.7}


def test_a_short_text_is_never_hidden_by_itself() -> None:
    """Its digest would be nearly as long."""
    details = {"texts": ["x" * (SHORT_TEXT_BYTES - 2)] * 10, "more": ["x" * (SHORT_TEXT_BYTES - 1)] * 10}
    kept = shortened(details, 4_500)
    assert kept["texts"] == details["texts"]
    assert any(is_digest(one) for one in kept["more"])


def test_where_texts_are_too_many_their_array_goes_and_all_else_stays() -> None:
    details = {
        "endpoint": "/v1/chat/completions",
        "messages": [{"role": "user", "content": "x" * 50}] * 10_000,
        "model": "small",
    }
    kept = shortened(details)
    assert is_digest(kept.pop("messages"))
    assert kept == {"endpoint": "/v1/chat/completions", "model": "small"}


def test_100_000_numbers_are_stored_as_one_digest() -> None:
    kept = shortened({"messages": list(range(100_000)), "model": "small"})
    assert is_digest(kept["messages"])
    assert kept["model"] == "small"


@pytest.mark.slow
def test_what_is_large_within_the_parameters_goes_and_the_small_ones_stay() -> None:
    """Also where the messages, which are larger still, go besides."""
    tools = [{"type": "function", "function": {"name": f"f{n}", "parameters": {"enum": ["x"] * 300}}} for n in range(400)]
    messages = [{"role": "user", "content": "x" * 50}] * 100_000
    for params in ({"temperature": 0.7, "tools": tools, "seed": 7}, {"tools": tools, "temperature": 0.7, "seed": 7}):
        for details in ({"params": params}, {"params": params, "messages": messages}, {"messages": messages, "params": params}):
            kept = shortened(details)
            assert (kept["params"]["temperature"], kept["params"]["seed"]) == (0.7, 7)
            assert is_digest(kept["params"]["tools"])
            assert is_digest(kept.get("messages", kept["params"]["tools"]))


def test_a_part_that_cannot_be_cut_leaves_its_room_to_one_that_can() -> None:
    tools = [{"name": f"f{n}", "enum": ["x"] * 300} for n in range(100)]
    messages = [{"role": "user", "content": "x" * 50}] * 100_000
    for details in ({"tools": tools, "messages": messages}, {"messages": messages, "tools": tools}):
        kept = shortened(details)
        assert is_digest(kept["messages"])
        assert sum(one in tools for one in kept["tools"]) > 40


def test_of_equal_parts_only_as_many_go_as_must() -> None:
    tools = [{"name": f"f{n:02d}", "enum": ["x"] * 300} for n in range(60)]
    kept = shortened({"tools": tools})["tools"]
    assert all(map(is_digest, kept[:11]))
    assert (kept[11]["name"], is_digest(kept[11]["enum"])) == ("f11", True)  # the last one must give less
    assert kept[12:] == tools[12:]


def test_two_large_parts_of_which_one_would_do_leave_the_smaller_one_whole() -> None:
    small, large = [["x" * 10] * 20] * 100, [["y" * 10] * 20] * 170
    kept = shortened({"small": small, "large": large, "model": "m"})
    assert kept["small"] == small
    assert kept["model"] == "m"


def test_a_part_is_cut_inside_only_where_half_of_its_room_stays_readable() -> None:
    """1,000 messages of 1 KB: 600 digests in a row would say no more than one."""
    kept = shortened({"messages": [{"content": f"{n} " * 200} for n in range(1_000)]})
    assert is_digest(kept["messages"])


def test_texts_of_the_parts_that_stay_are_only_replaced_where_they_must_be() -> None:
    messages = [{"role": "user", "content": f"{n:04d}" * 500} for n in range(100)]
    kept = shortened({"numbers": list(range(100_000)), "messages": messages})
    assert is_digest(kept["numbers"])
    assert sum(not is_digest(one["content"]) for one in kept["messages"]) > 20


@pytest.mark.parametrize("name", ["n" * 100_000, "\x00" * 15_000])
def test_a_long_name_is_replaced_with_the_object_that_has_it(name: str) -> None:
    kept = shortened({"params": {"temperature": 0.7, "schema": {name: 1}}, "model": "small"})
    assert is_digest(kept["params"]["schema"])
    assert kept["params"]["temperature"] == 0.7


def test_details_of_too_many_members_keep_only_the_question_they_end() -> None:
    members = {f"member {n}": n for n in range(10_000)}
    for details in (members, {"a": 1, "received": 7, **members}, {"received": "7", **members}, {"x" * 100_000: 1, "received": 7}):
        assert list(shortened(details))[-1] == "details"


def test_the_deepest_tower_that_is_json_fits() -> None:
    tower: Any = [1] * 10_000
    for _ in range(252):
        tower = [tower, [1] * 1_000]
    assert shortened({"params": tower})


def test_an_object_that_looks_like_a_digest_is_stored_as_it_is() -> None:
    mine = {"sha256": "0" * 64, "bytes": 1}
    kept = shortened({"params": {"mine": mine}, "query": "x" * 100_000})
    assert kept["params"]["mine"] == mine


def test_what_was_reserved_and_spent_survives_at_its_place() -> None:
    books = {"reserved": [{"id": f"role=r{n}/day/money", "amount": "0.5"} for n in range(6)], "spent": [{"amount": 7}] * 3}
    for rest in ({"messages": ["x" * 300] * 50}, {"x" * 5000: 1}, {str(number): number for number in range(2000)}):
        details = {"received": 3, **rest, **books, "credential": "key:k"}
        encoded, _ = shorten(orjson.dumps(details), 1200)
        shortened = orjson.loads(encoded)
        assert len(encoded) <= 1200
        assert {name: shortened[name] for name in books} == books
        assert shortened["received"] == 3
        names = [name for name in shortened if name in details]
        assert names == [name for name in details if name in shortened], "members keep their order"


def test_books_that_leave_no_room_are_shortened_like_all_else() -> None:
    encoded, _ = shorten(orjson.dumps({"received": 3, "reserved": [{"id": "x" * 200}] * 50}), 400)
    assert len(encoded) <= 400
    assert orjson.loads(encoded)["received"] == 3
