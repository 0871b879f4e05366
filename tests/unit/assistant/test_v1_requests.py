"""From a /v1 body to the body that goes upstream: what changes, and that the record says it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.assistant.v1_policy import PREVIOUS
from app.assistant.v1_requests import V1Requests
from app.catalogue.models import Catalogue, ModelEntry, Server
from app.errors import InvalidInput, InvalidParameter, ModelNotFound
from app.security.models import Principal
from app.upstream.call import Clamped
from app.upstream.client import Upstream
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.responses import RESPONSES

from ...support.asking import PRINCIPAL
from ...support.caps import CAPS as DEFAULT_CAPS

HI = [{"role": "user", "content": "hi"}]
CAPS = replace(DEFAULT_CAPS, messages=3, message_chars=100, max_output_tokens=100)


def requests(*, stream_usage: bool = True, **models: frozenset[str] | None) -> V1Requests:
    """*models*: aliases and the roles that may use them; `any` is everyone's."""
    server = Server("local", "http://127.0.0.1:9/v1", "", stream_usage)
    entries = {
        alias: ModelEntry(alias, f"{alias}-7b", server, roles, endpoints=frozenset({"chat", "responses"}))
        for alias, roles in ({"any": None} | models).items()
    }
    catalogue = Catalogue(entries, CAPS, {}, frozenset({"seed"}))
    return V1Requests(catalogue, {"local": Upstream(server)})


def sent(members: Mapping[str, Any], endpoint: Endpoint = CHAT, **more: Any) -> Any:
    return orjson.loads(requests(**more).prepare_v1(endpoint, dict(members), PRINCIPAL).body)


def test_only_the_models_name_changes() -> None:
    members = {"model": "any", "messages": HI, "temperature": 0.5, "x-odd": [1, {"a": None}]}
    call = requests().prepare_v1(CHAT, members, PRINCIPAL)
    assert call.body == orjson.dumps({"messages": HI, "model": "any-7b", "temperature": 0.5, "x-odd": [1, {"a": None}]})
    assert (call.model, call.endpoint, call.is_stream, call.wants_usage, call.wants_text) == ("any", CHAT, False, True, False)


@pytest.mark.parametrize(("endpoint", "kept", "after"), [(CHAT, [], 2.0), (RESPONSES, [], 2.0), (RESPONSES, [PREVIOUS], None)])
def test_a_response_that_may_be_continued_is_not_hedged(endpoint: Endpoint, kept: list[str], after: float | None) -> None:
    """Only the server that gave it knows it."""
    known = requests()
    entry = replace(known.catalogue.models["any"], hedge_after_seconds=2.0)
    catalogue = replace(known.catalogue, models={"any": entry}, server_side=frozenset(kept))
    call = V1Requests(catalogue, known.upstreams).prepare_v1(endpoint, {"model": "any", endpoint.messages: HI}, PRINCIPAL)
    assert call.hedge_after_seconds == after


def test_the_record_holds_what_is_sent() -> None:
    call = requests().prepare_v1(CHAT, {"model": "any", "messages": HI, "stop": "x"}, PRINCIPAL)
    assert list(call.asked) == ["endpoint", "messages", "params"]
    assert call.asked["endpoint"] == "/v1/chat/completions"
    rebuilt = orjson.dumps({"messages": call.asked["messages"], **call.asked["params"]})
    assert call.digests["upstream_sha256"] == hashlib.sha256(rebuilt).hexdigest() == hashlib.sha256(call.body).hexdigest()


def test_what_is_lowered_is_recorded_as_it_was_asked_for() -> None:
    some = requests()
    clamping = replace(some.catalogue, caps=replace(CAPS, clamps=True, timeout_seconds=7, stream_timeout_seconds=70))
    call = V1Requests(clamping, some.upstreams).prepare_v1(CHAT, {"model": "any", "messages": HI, "max_tokens": 101}, PRINCIPAL)
    assert call.clamped == Clamped("max_tokens", 101, 100)
    assert (orjson.loads(call.body)["max_tokens"], call.asked["params"]["max_tokens"]) == (100, 101)
    assert (call.timeout_seconds, call.stream_timeout_seconds) == (7, 70)


def test_an_alias_is_replaced_by_its_models_name() -> None:
    some = requests(secret=frozenset({"ai.research"}))
    aliased = V1Requests(replace(some.catalogue, aliases={"mini": "any", "hidden": "secret"}), some.upstreams)
    call = aliased.prepare_v1(CHAT, {"model": "mini", "messages": HI}, PRINCIPAL)
    assert (call.model, call.asked_model, orjson.loads(call.body)["model"]) == ("any", "mini", "any-7b")
    assert aliased.prepare_v1(CHAT, {"model": "any", "messages": HI}, PRINCIPAL).asked_model is None
    with pytest.raises(ModelNotFound) as caught:
        aliased.prepare_v1(CHAT, {"model": "hidden", "messages": HI}, PRINCIPAL)
    assert (caught.value.model, caught.value.is_known) == ("hidden", True)


@pytest.mark.parametrize(
    ("options", "stream_usage", "sent_options", "wants_usage"),
    [
        (None, True, {"include_usage": True}, False),
        ({"include_usage": False}, True, {"include_usage": True}, False),
        ({"include_usage": True, "x": 1}, True, {"include_usage": True, "x": 1}, True),
        (None, False, None, False),
        ({"include_usage": True}, False, {"include_usage": True}, True),
    ],
)
def test_a_stream_of_chat_asks_for_its_usage(options: Any, stream_usage: bool, sent_options: Any, wants_usage: bool) -> None:
    members = {"model": "any", "messages": HI, "stream": True, **({"stream_options": options} if options else {})}
    call = requests(stream_usage=stream_usage).prepare_v1(CHAT, members, PRINCIPAL)
    assert (orjson.loads(call.body).get("stream_options"), call.wants_usage) == (sent_options, wants_usage)
    assert call.is_stream


def test_other_streams_report_their_usage_unasked() -> None:
    call = requests().prepare_v1(RESPONSES, {"model": "any", "input": "hi", "stream": True}, PRINCIPAL)
    assert (orjson.loads(call.body).get("stream_options"), call.wants_usage) == (None, True)


@pytest.mark.parametrize(
    ("members", "param", "reason"),
    [
        ({"messages": HI}, "model", "missing_required_parameter"),
        ({"model": 7, "messages": HI}, "model", "invalid_type"),
        ({"model": "any"}, "messages", "missing_required_parameter"),
        ({"model": "any", "messages": HI, "seed": 1}, "seed", "unsupported_parameter"),
        ({"model": "any", "messages": HI, "stream": "yes"}, "stream", "invalid_type"),
        ({"model": "any", "messages": HI, "stream": True, "stream_options": 7}, "stream_options", "invalid_type"),
        ({"model": "any", "messages": HI, "max_tokens": 101}, "max_tokens", "integer_above_max_value"),
    ],
)
def test_a_body_that_may_not_pass_is_refused_by_name(members: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        requests().prepare_v1(CHAT, members, PRINCIPAL)
    assert (caught.value.param, caught.value.reason) == (param, reason)


def test_embeddings_do_not_stream() -> None:
    all_endpoints = requests()
    entry = all_endpoints.catalogue.models["any"]
    server = ModelEntry("any", "any-7b", entry.server)
    several = V1Requests(Catalogue({"any": server}, CAPS, {}, frozenset()), {"local": all_endpoints.upstreams["local"]})
    with pytest.raises(InvalidParameter) as caught:
        several.prepare_v1(EMBEDDINGS, {"model": "any", "input": "hi", "stream": True}, PRINCIPAL)
    assert caught.value.param == "stream"


@pytest.mark.parametrize("members", [None, [], "hi", 7])
def test_a_body_that_is_no_object_is_refused(members: Any) -> None:
    with pytest.raises(InvalidInput):
        requests().prepare_v1(CHAT, members, PRINCIPAL)


@pytest.mark.parametrize("value", ["\ud800", 2**64])
def test_what_json_cannot_carry_on_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        requests().prepare_v1(CHAT, {"model": "any", "messages": HI, "x": value}, PRINCIPAL)


def test_a_model_is_for_its_roles_and_endpoints() -> None:
    few = requests(secret=frozenset({"ai.research"}), mine=frozenset(PRINCIPAL.roles))
    researcher = Principal("bob", ("ai.research",), "bob", "2" * 32, 0)
    few.verify_may_use("mine", PRINCIPAL)
    assert few.entry("secret", researcher).model == "secret-7b"
    for alias, is_known in (("secret", True), ("unknown", False)):
        with pytest.raises(ModelNotFound) as caught:
            few.prepare_v1(CHAT, {"model": alias, "messages": HI}, PRINCIPAL)
        assert (caught.value.model, caught.value.is_known) == (alias, is_known)
    with pytest.raises(ModelNotFound):
        few.prepare_v1(EMBEDDINGS, {"model": "mine", "input": "hi"}, PRINCIPAL)
