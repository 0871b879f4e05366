"""What of a /v1 body is refused, and under which name; without a service."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any

import pytest

from app.assistant import v1_policy
from app.assistant.v1_policy import BEYOND, PREVIOUS, REFUSED, TOKEN_CAPS, read_flag, read_previous, verify_params
from app.errors import InvalidParameter
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.completions import COMPLETIONS
from app.upstream.protocol.count_tokens import COUNT_TOKENS
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES

from ...support.tables import for_each

ENDPOINTS: list[Endpoint] = [CHAT, RESPONSES, EMBEDDINGS]


def param_error(members: dict[str, Any], endpoint: Endpoint = CHAT, **lists: Any) -> tuple[str, str] | None:
    """The name and the reason of the refusal."""
    try:
        verify_params(endpoint, members, lists.get("refused", frozenset()), lists.get("allowed"))
    except InvalidParameter as error:
        return error.param, error.reason
    return None


# --- parameters --------------------------------------------------------------------------------


@for_each("endpoint", ENDPOINTS, ids=lambda one: one.name)
@for_each("name", sorted(REFUSED))
def test_a_parameter_that_gets_round_the_caps_or_the_record_is_refused(endpoint: Endpoint, name: str) -> None:
    assert param_error({name: 1}, endpoint) == (name, "unsupported_parameter")
    assert param_error({name: None}, endpoint) is None, "null is as if it were not there"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
def test_each_endpoint_takes_its_own_caps_on_tokens_only(endpoint: Endpoint) -> None:
    taken = {name for name in TOKEN_CAPS if param_error({name: 5}, endpoint) is None}
    assert taken == set(endpoint.token_caps)


@for_each("endpoint", [CHAT, RESPONSES, MESSAGES, COUNT_TOKENS], ids=lambda one: one.path)
@for_each("name", sorted(BEYOND))
def test_what_no_record_would_hold_is_refused_but_for_embeddings(name: str, endpoint: Endpoint) -> None:
    assert param_error({name: "x"}, endpoint) == (name, "unsupported_parameter")
    assert param_error({name: False}, endpoint) is None
    assert param_error({name: "x"}, EMBEDDINGS) is None
    assert param_error({"prompt": "x"}, COMPLETIONS) is None, "there it is what is asked"


def test_the_operators_list_and_the_servers_list_are_kept() -> None:
    assert param_error({"seed": 1}, refused=frozenset({"seed"})) == ("seed", "unsupported_parameter")
    assert param_error({"model": "m", "seed": 1}, allowed=frozenset({"model"})) == ("seed", "unsupported_parameter")
    assert param_error({"model": "m"}, allowed=frozenset({"model"})) is None


OTHER_SPELLINGS = ["Model", "MAX_TOKENS", "N", "me\u017fsages", "\u212a", "Num_Predict", "Previous_Response_ID"]


@pytest.mark.parametrize("name", OTHER_SPELLINGS)
def test_a_server_that_ignores_case_gets_no_other_spelling(name: str) -> None:
    refused = frozenset({"k"})
    assert param_error({"model": "m", name: 1}, RESPONSES, refused=refused) == (name, "unsupported_parameter")
    assert param_error({"Mood": 1, "TopK": 2}, RESPONSES, refused=refused) is None


def test_what_a_server_may_keep_passes_unless_it_is_refused_otherwise() -> None:
    members, kept = {PREVIOUS: "resp_1"}, frozenset({PREVIOUS})
    assert param_error(members, RESPONSES) == (PREVIOUS, "unsupported_parameter")
    with pytest.raises(InvalidParameter, match=r"send the whole conversation in messages\."):
        verify_params(CHAT, members, frozenset(), None, kept)  # which keeps no answers
    verify_params(RESPONSES, members, frozenset(), None, kept)
    for refused, allowed in ((kept, None), (frozenset[str](), frozenset({"model"}))):
        with pytest.raises(InvalidParameter):
            verify_params(RESPONSES, members, refused, allowed, kept)


def test_an_earlier_response_is_named_by_a_text_at_responses_only() -> None:
    assert [read_previous(RESPONSES, {PREVIOUS: value}) for value in ("resp_1", None)] == ["resp_1", None]
    assert read_previous(CHAT, {PREVIOUS: 7}) is None
    with pytest.raises(InvalidParameter):
        read_previous(RESPONSES, {PREVIOUS: 7})


def test_every_set_of_names_has_its_reason() -> None:
    body = ast.parse(inspect.getsource(v1_policy)).body
    unexplained = [
        ast.unparse(one.targets[0])
        for one, following in pairwise(body)
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Call) and not isinstance(following, ast.Expr)
    ]
    assert unexplained == []


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
