"""What of a /v1 body is refused, and under which name; without a service."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assistant import v1_policy
from app.assistant.v1_policy import REFUSED, TOKEN_CAPS, cap_tokens, read_flag, verify_params
from app.catalogue.models import Caps
from app.errors import InvalidParameter
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.responses import RESPONSES

CAPS = Caps(body_bytes=10_000, messages=3, message_chars=10, tokens=100)
ENDPOINTS: list[Endpoint] = [CHAT, RESPONSES, EMBEDDINGS]


def param_error(members: dict[str, Any], endpoint: Endpoint = CHAT, **lists: Any) -> tuple[str, str] | None:
    """The name and the reason of the refusal."""
    try:
        verify_params(endpoint, members, lists.get("refused", frozenset()), lists.get("allowed"))
    except InvalidParameter as error:
        return error.param, error.reason
    return None


# --- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_parameter_that_gets_round_the_caps_or_the_record_is_refused(endpoint: Endpoint, name: str) -> None:
    assert param_error({name: 1}, endpoint) == (name, "unsupported_parameter")
    assert param_error({name: None}, endpoint) is None, "null is as if it were not there"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
def test_each_endpoint_takes_its_own_caps_on_tokens_only(endpoint: Endpoint) -> None:
    taken = {name for name in TOKEN_CAPS if param_error({name: 5}, endpoint) is None}
    assert taken == set(endpoint.token_caps)


@pytest.mark.parametrize("name", sorted(RESPONSES.beyond_the_record))
def test_what_no_record_would_hold_is_refused_at_responses_only(name: str) -> None:
    assert param_error({name: "x"}, RESPONSES) == (name, "unsupported_parameter")
    assert param_error({name: False}, RESPONSES) is None
    assert param_error({name: "x"}, CHAT) is None


def test_the_operators_list_and_the_servers_list_are_kept() -> None:
    assert param_error({"seed": 1}, refused=frozenset({"seed"})) == ("seed", "unsupported_parameter")
    assert param_error({"model": "m", "seed": 1}, allowed=frozenset({"model"})) == ("seed", "unsupported_parameter")
    assert param_error({"model": "m"}, allowed=frozenset({"model"})) is None


def test_every_set_of_names_has_its_reason() -> None:
    body = ast.parse(inspect.getsource(v1_policy)).body
    unexplained = [
        ast.unparse(one.targets[0])
        for one, following in pairwise(body)
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call) and not isinstance(following, ast.Expr)
    ]
    assert unexplained == []


# --- tokens ------------------------------------------------------------------------------------

CAPPED: list[tuple[Endpoint, bool, dict[str, Any], dict[str, Any]]] = [
    (CHAT, False, {}, {"max_tokens": 100}),
    (CHAT, True, {}, {"max_completion_tokens": 100}),
    (CHAT, False, {"max_tokens": 5}, {"max_tokens": 5}),
    (CHAT, True, {"max_tokens": 5}, {"max_tokens": 5}),
    (CHAT, False, {"max_completion_tokens": 5}, {"max_completion_tokens": 5, "max_tokens": 5}),
    (CHAT, True, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    (CHAT, False, {"max_completion_tokens": 5, "max_tokens": 9}, {"max_completion_tokens": 5, "max_tokens": 9}),
    (CHAT, False, {"n": 4}, {"n": 4, "max_tokens": 25}),
    (CHAT, False, {"n": None, "max_tokens": None}, {"n": None, "max_tokens": 100}),
    (RESPONSES, False, {}, {"max_output_tokens": 100}),
    (RESPONSES, True, {"max_output_tokens": 5}, {"max_output_tokens": 5}),
    (EMBEDDINGS, False, {}, {}),
]


@pytest.mark.parametrize(("endpoint", "wants_newer", "params", "sent"), CAPPED)
def test_the_cap_is_sent_under_the_name_that_the_server_honours(
    endpoint: Endpoint, wants_newer: bool, params: dict[str, Any], sent: dict[str, Any]
) -> None:
    cap_tokens(endpoint, params, CAPS, wants_newer)
    assert params == sent


@pytest.mark.parametrize(
    ("params", "param", "reason"),
    [
        ({"max_tokens": 101}, "max_tokens", "integer_above_max_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": "5"}, "max_tokens", "invalid_type"),
        ({"max_tokens": True}, "max_tokens", "invalid_type"),
        ({"n": 101}, "n", "integer_above_max_value"),
        ({"n": 2, "max_tokens": 51}, "max_tokens", "integer_above_max_value"),
        ({"max_tokens": 5, "max_completion_tokens": 101}, "max_completion_tokens", "integer_above_max_value"),
    ],
)
def test_more_tokens_than_the_cap_are_refused(params: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        cap_tokens(CHAT, params, CAPS, False)
    assert (caught.value.param, caught.value.reason) == (param, reason)


@given(
    cap=st.integers(1, 300),
    n=st.none() | st.integers(1, 300),
    named=st.dictionaries(st.sampled_from(CHAT.token_caps), st.integers(1, 300)),
    newer=st.booleans(),
)
def test_no_body_that_passes_lets_all_choices_exceed_the_cap(cap: int, n: int | None, named: dict[str, int], newer: bool) -> None:
    params: dict[str, Any] = {**named, **({} if n is None else {"n": n})}
    try:
        cap_tokens(CHAT, params, Caps(1, 1, 1, cap), newer)
    except InvalidParameter:
        return
    honoured = [params[name] for name in (CHAT.token_caps if newer else ("max_tokens",)) if name in params]
    assert honoured
    assert max(honoured) * (n or 1) <= cap


# --- flags -------------------------------------------------------------------------------------


def test_a_flag_is_true_false_or_null() -> None:
    assert [read_flag(members, "stream") for members in ({}, {"stream": None}, {"stream": False}, {"stream": True})] == [
        False,
        False,
        False,
        True,
    ]
    wrong: list[Any] = [0, 1, "true", []]
    for value in wrong:
        with pytest.raises(InvalidParameter):
            read_flag({"stream": value}, "stream")
