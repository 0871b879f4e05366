"""The most that a question can use: never less than a server may bill, and refused by name where nobody can know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assistant.upper_bound import TEMPLATE_TOKENS, TOOLS_TOKENS, TermsInForce, claim_on
from app.catalogue.claims import Claim, Most
from app.catalogue.models import Catalogue, ModelEntry, Server
from app.catalogue.prices import BILLION
from app.errors import InvalidParameter
from app.limits.budgets.errors import ModelWithoutPrice
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.completions import COMPLETIONS
from app.upstream.protocol.count_tokens import COUNT_TOKENS
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES

from ...support.asking import PRINCIPAL
from ...support.budgets import PRICE, budget
from ...support.caps import CAPS

ENTRY = ModelEntry("fast", "fast", Server("local", "http://127.0.0.1:1/v1", ""))
LARGE = replace(ENTRY, context_tokens=8000)
CATALOGUE = Catalogue({"fast": ENTRY}, CAPS, {}, frozenset(), prices={"fast": PRICE}, budgets=(budget(money=BILLION),))
SEARCH = replace(CATALOGUE, prices={"fast": replace(PRICE, per_call={"web_search": 10**7})})
HI = [{"role": "user", "content": "hi"}]


def claim(
    members: dict[str, Any], endpoint: Endpoint = CHAT, entry: ModelEntry = ENTRY, catalogue: Catalogue = CATALOGUE
) -> Claim | None:
    terms = TermsInForce(catalogue).of(PRINCIPAL, entry, endpoint)
    return claim_on(terms, entry, endpoint, members, orjson.dumps(members)) if terms else None


def most(members: dict[str, Any], *more: Any) -> Most:
    found = claim(members, *more)
    assert found is not None
    return found.most


def chat(content: Any = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "fast", "messages": [{"role": "user", "content": content}], "max_tokens": 50, **more}


def test_a_question_is_bounded_by_its_bytes_and_its_cap() -> None:
    body = chat()
    assert most(body) == Most(len(orjson.dumps(body)) + TEMPLATE_TOKENS, 50)


def test_every_choice_may_take_the_whole_cap() -> None:
    assert most(chat(n=4)).output_tokens == 200
    batch = {"model": "fast", "prompt": ["a", "b", "c"], "max_tokens": 50, "n": 2}
    assert most(batch, COMPLETIONS).output_tokens == 300
    assert most({**batch, "prompt": [1, 2, 3]}, COMPLETIONS).output_tokens == 100, "one prompt, in tokens"


def test_of_two_caps_the_larger_one_counts() -> None:
    assert most(chat(max_completion_tokens=80)).output_tokens == 80


def test_tools_and_predictions_take_more() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"image_url": {"type": "string"}}}}}]
    body = chat(tools=tools)
    assert most(body).input_tokens == len(orjson.dumps(body)) + TEMPLATE_TOKENS + TOOLS_TOKENS
    assert most(chat(prediction={"type": "content", "content": "x" * 1000})).output_tokens > 1050


def test_embeddings_have_no_output_and_a_count_of_tokens_costs_nothing() -> None:
    assert most({"model": "fast", "input": ["a"]}, EMBEDDINGS).output_tokens == 0
    assert claim({"model": "fast", "messages": HI}, COUNT_TOKENS) is None


def test_the_context_bounds_what_bytes_bound_too() -> None:
    assert most(chat("x" * 100_000), CHAT, LARGE).input_tokens == 8000


UNBOUNDED: dict[str, tuple[Endpoint, dict[str, Any], str]] = {
    "an image by its address": (CHAT, chat([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]), "messages[0]"),
    "an image in bytes": (CHAT, chat([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]), "messages[0]"),
    "audio": (CHAT, chat([{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]), "messages[0]"),
    "a file": (CHAT, chat([{"type": "file", "file": {"file_id": "file-1"}}]), "messages[0]"),
    "a kind that nobody knows yet": (CHAT, chat([{"type": "hologram", "content": "…"}]), "messages[0]"),
    "an image of Ollama's": (
        CHAT,
        {**chat(), "messages": [*HI, {"role": "user", "content": "x", "images": ["AA"]}]},
        "messages[1]",
    ),
    "a document of Anthropic's": (
        MESSAGES,
        chat([{"type": "document", "source": {"type": "url", "url": "https://x"}}]),
        "messages[0]",
    ),
    "an image in a result": (
        MESSAGES,
        chat([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]}]),
        "messages[0]",
    ),
    "a response kept by the server": (RESPONSES, {"input": "hi", "previous_response_id": "resp_1"}, "previous_response_id"),
    "an item kept by the server": (RESPONSES, {"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
}


@pytest.mark.parametrize(("endpoint", "body", "place"), UNBOUNDED.values(), ids=UNBOUNDED)
def test_what_bytes_do_not_bound_counts_as_the_context_or_is_refused(
    endpoint: Endpoint, body: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidParameter) as refused:
        claim(body, endpoint)
    assert (refused.value.param, refused.value.reason) == (place, "unbounded_input")
    assert most(body, endpoint, LARGE).input_tokens == 8000


BOUNDED = {
    "text in parts": chat([{"type": "text", "text": "look at https://x/image.png", "cache_control": {"type": "ephemeral"}}]),
    "calls of tools": {
        **chat(),
        "messages": [
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": '{"image_url": "x"}'},
        ],
    },
    "Anthropic's calls": chat([{"type": "tool_use", "id": "t", "name": "f", "input": {"url": "https://x", "type": "image"}}]),
    "sources of an earlier answer": chat([{"type": "text", "text": "x", "citations": [{"type": "page", "url": "https://x"}]}]),
}


@pytest.mark.parametrize("body", BOUNDED.values(), ids=BOUNDED)
def test_text_is_bounded_whatever_it_speaks_of(body: dict[str, Any]) -> None:
    assert most(body).input_tokens == len(orjson.dumps(body)) + TEMPLATE_TOKENS


TOOL = {"type": "web_search_20250305", "name": "web_search"}


def test_a_tool_on_the_server_needs_a_price_a_limit_and_a_context() -> None:
    def refusal(*more: Any, **members: Any) -> tuple[str, str]:
        with pytest.raises(InvalidParameter) as refused:
            claim(chat(**members), MESSAGES, *more)
        return refused.value.param, refused.value.reason

    assert refusal(tools=[TOOL]) == ("tools[0].type", "tool_without_price")
    assert refusal(ENTRY, SEARCH, tools=[TOOL]) == ("tools[0]", "unbounded_tool")
    assert refusal(ENTRY, SEARCH, tools=[{**TOOL, "max_uses": 3}]) == ("web_search", "unbounded_input")
    assert refusal(mcp_servers=[{"url": "https://x"}])[1] == "tool_without_price"
    found = most(chat(tools=[{**TOOL, "max_uses": 3}]), MESSAGES, LARGE, SEARCH)
    assert (found.input_tokens, dict(found.calls)) == (4 * 8000, {"web_search": 3})


def test_two_entries_of_one_tool_may_both_run() -> None:
    found = most(chat(tools=[{**TOOL, "max_uses": 3}, {**TOOL, "max_uses": 2}]), MESSAGES, LARGE, SEARCH)
    assert dict(found.calls) == {"web_search": 5}


def test_a_model_without_a_price_is_refused_by_a_budget_in_money_alone() -> None:
    unpriced = replace(CATALOGUE, prices={})
    with pytest.raises(ModelWithoutPrice):
        claim(chat(), CHAT, ENTRY, unpriced)
    found = claim(chat(), CHAT, ENTRY, replace(unpriced, budgets=(budget(tokens=1000),)))
    assert found is not None
    assert found.terms.price is None


@pytest.mark.parametrize(
    "member", [{"service_tier": "priority"}, {"speed": "fast"}, {"inference_geo": "us"}, {"modalities": ["text", "audio"]}]
)
def test_what_is_billed_at_another_price_is_refused(member: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter) as refused:
        claim(chat(**member))
    assert refused.value.reason == "other_price"


def test_without_a_budget_nothing_is_claimed() -> None:
    assert claim(chat(), CHAT, ENTRY, replace(CATALOGUE, budgets=(budget("bob", money=1),))) is None


@given(st.text(max_size=200))
def test_no_text_has_more_bytes_than_its_bound(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return
    assert most(chat(text)).input_tokens >= size + TEMPLATE_TOKENS
