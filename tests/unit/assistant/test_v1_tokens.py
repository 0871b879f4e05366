"""How long an answer may be: what is refused, lowered or added, and under which name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assistant.v1_tokens import MAX_CHOICES, cap_tokens
from app.catalogue.caps import OutputLimit
from app.errors import InvalidParameter
from app.upstream.call import Clamped
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.completions import COMPLETIONS
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.responses import RESPONSES

from ...support.tables import for_each

OLD, NEW = CHAT.token_caps
PLAIN = OutputLimit(100, 0, clamps=False)
DEFAULT = OutputLimit(100, 40, clamps=False)
HIGH = OutputLimit(100, 400, clamps=False)
CLAMP = OutputLimit(100, 0, clamps=True)

SENT: list[tuple[Endpoint, OutputLimit, str | None, dict[str, Any], dict[str, Any]]] = [
    (CHAT, PLAIN, None, {}, {}),
    (CHAT, PLAIN, NEW, {}, {}),
    (CHAT, PLAIN, None, {OLD: 5}, {OLD: 5}),
    (CHAT, PLAIN, None, {NEW: 5}, {NEW: 5}),
    (CHAT, PLAIN, None, {NEW: 5, OLD: 9}, {NEW: 5, OLD: 9}),
    (CHAT, PLAIN, NEW, {OLD: 5}, {NEW: 5}),
    (CHAT, PLAIN, OLD, {NEW: 5}, {OLD: 5}),
    (CHAT, PLAIN, OLD, {NEW: 5, OLD: 9}, {OLD: 5}),
    (CHAT, PLAIN, OLD, {OLD: None}, {OLD: None}),
    (CHAT, DEFAULT, None, {}, {OLD: 40}),
    (CHAT, DEFAULT, NEW, {}, {NEW: 40}),
    (CHAT, DEFAULT, None, {OLD: None}, {OLD: 40}),
    (CHAT, DEFAULT, None, {OLD: 90}, {OLD: 90}),
    (CHAT, DEFAULT, None, {"n": 4}, {"n": 4, OLD: 25}),
    (CHAT, HIGH, None, {}, {OLD: 100}),
    (RESPONSES, PLAIN, NEW, {"max_output_tokens": 5}, {"max_output_tokens": 5}),
    (RESPONSES, DEFAULT, NEW, {}, {"max_output_tokens": 40}),
    (EMBEDDINGS, DEFAULT, None, {}, {}),
]


@for_each(("endpoint", "limit", "token_param", "params", "sent"), SENT)
def test_a_length_keeps_its_name_and_none_is_added_unless_set(
    endpoint: Endpoint, limit: OutputLimit, token_param: str | None, params: dict[str, Any], sent: dict[str, Any]
) -> None:
    asked = dict(params)
    assert cap_tokens(endpoint, asked, limit, token_param) is None
    assert asked == sent


def test_the_answers_to_all_prompts_count_together() -> None:
    asked = {"max_tokens": 50, "n": 2}
    assert cap_tokens(COMPLETIONS, asked, CLAMP, None, ["a", "b"]) == Clamped("max_tokens", 50, 25)
    assert cap_tokens(COMPLETIONS, asked, CLAMP, None, [1, 2, 3]) is None
    assert cap_tokens(COMPLETIONS, asked, CLAMP, None, "abc") is None
    for params, prompts, param in (
        (asked, ["a"] * 51, "n"),
        ({}, ["a"] * 101, "prompt"),
        ({"max_tokens": 51}, ["a"] * 2, "max_tokens"),
    ):
        with pytest.raises(InvalidParameter) as refused:
            cap_tokens(COMPLETIONS, params, PLAIN, None, prompts)
        assert refused.value.param == param


@pytest.mark.parametrize(
    ("params", "param", "reason"),
    [
        ({OLD: 101}, OLD, "integer_above_max_value"),
        ({OLD: 0}, OLD, "integer_below_min_value"),
        ({OLD: "5"}, OLD, "invalid_type"),
        ({OLD: True}, OLD, "invalid_type"),
        ({"n": 101}, "n", "integer_above_max_value"),
        ({"n": 2, OLD: 51}, OLD, "integer_above_max_value"),
        ({OLD: 5, NEW: 101}, NEW, "integer_above_max_value"),
    ],
)
def test_more_tokens_than_the_ceiling_are_refused_by_name(params: dict[str, Any], param: str, reason: str) -> None:
    for token_param in (None, OLD, NEW):
        with pytest.raises(InvalidParameter) as caught:
            cap_tokens(CHAT, dict(params), PLAIN, token_param)
        assert (caught.value.param, caught.value.reason) == (param, reason)


@pytest.mark.parametrize(
    ("params", "token_param", "left", "clamped"),
    [
        ({OLD: 101}, None, {OLD: 101}, Clamped(OLD, 101, 100)),
        ({NEW: 101}, None, {NEW: 101}, Clamped(NEW, 101, 100)),
        ({NEW: 101}, OLD, {OLD: 101}, Clamped(OLD, 101, 100)),
        ({OLD: 5, NEW: 101}, None, {OLD: 5, NEW: 101}, Clamped(NEW, 101, 100)),
        ({OLD: 5, NEW: 101}, OLD, {OLD: 5}, None),
        ({"n": 3, OLD: 40}, None, {"n": 3, OLD: 40}, Clamped(OLD, 40, 33)),
        ({OLD: 100}, None, {OLD: 100}, None),
    ],
)
def test_what_is_lowered_stays_as_it_was_asked_for(
    params: dict[str, Any], token_param: str | None, left: dict[str, Any], clamped: Clamped | None
) -> None:
    assert cap_tokens(CHAT, params, CLAMP, token_param) == clamped
    assert params == left


@pytest.mark.parametrize("params", [{OLD: 0}, {OLD: "5"}, {"n": 101}, {OLD: 101, NEW: 102}, {OLD: 2**64}], ids=str)
def test_only_one_length_that_a_record_can_hold_is_lowered(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        cap_tokens(CHAT, params, CLAMP, None)


@given(
    limit=st.builds(OutputLimit, st.integers(1, 300), st.integers(0, 300), st.booleans()),
    n=st.none() | st.integers(1, 300),
    named=st.dictionaries(st.sampled_from(CHAT.token_caps), st.integers(1, 300)),
    token_param=st.none() | st.sampled_from(CHAT.token_caps),
)
def test_no_length_that_is_sent_lets_all_choices_exceed_the_ceiling(
    limit: OutputLimit, n: int | None, named: dict[str, int], token_param: str | None
) -> None:
    params: dict[str, Any] = {**named, **({} if n is None else {"n": n})}
    try:
        clamped = cap_tokens(CHAT, params, limit, token_param)
    except InvalidParameter:
        return
    sent = {**params, **({clamped.name: clamped.sent} if clamped else {})}
    lengths = {name: sent[name] for name in CHAT.token_caps if name in sent}
    assert bool(lengths) == bool(named or limit.default)
    assert all(length * (n or 1) <= limit.most for length in lengths.values())
    assert (n or 1) <= MAX_CHOICES
    if token_param and lengths:
        assert lengths.keys() == {token_param}
