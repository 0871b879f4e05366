"""OpenAI's Python SDK with the embedded model: real answers (short ones: it is slow), and requests that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from app.upstream import embedded

from ..support.optional import leave_out
from ..support.sdk import check_error, client_of, newcomer, receipt_of, record_of, refused, texts_of
from ..support.service import Service

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
CHAT: Any = {"model": embedded.MODEL_NAME, "messages": MESSAGES, "max_tokens": 6, "temperature": 0}
RESPONSE: Any = {"model": embedded.MODEL_NAME, "input": "Say hello.", "max_output_tokens": 6, "temperature": 0}
LONG: Any = [{"role": "user", "content": "Tell me a very long story."}]
CAP = 8


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """No key, no URL, no models file: the embedded model answers."""
    if not embedded.is_installed():
        leave_out("the extra `embedded` is not installed: make install installs it")
    env: dict[str, Any] = {"V1_MAX_TOKENS": str(CAP), "LLM_TIMEOUT_SECONDS": "120"}
    with Service(tmp_path_factory.mktemp("embedded"), **env) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[OpenAI]:
    with client_of(service, token, max_retries=0) as client:
        yield client


def test_the_embedded_model_is_the_only_one_and_makes_no_embeddings(client: OpenAI) -> None:
    (model,) = client.models.list()
    assert (model.id, model.owned_by) == (embedded.MODEL_NAME, "embedded")
    assert client.models.retrieve(model.id) == model
    told = model.model_extra or {}
    assert (told["kind"], told["context_length"], told["max_output_tokens"]) == ("chat", 8192, CAP)
    error = refused(client.embeddings.create, model=model.id, input="hi")
    check_error(error, NotFoundError, 404, "invalid_request_error", "model_not_found")


def test_a_chat_answer_and_its_stream_are_the_same_and_have_their_receipts(client: OpenAI, service: Service) -> None:
    answer = client.chat.completions.create(**CHAT)
    text = answer.choices[0].message.content
    assert text
    assert (answer.choices[0].finish_reason, answer.model) == ("length", embedded.MODEL_NAME)
    assert answer.usage
    assert answer.usage.completion_tokens == 6
    for usage in (False, True):
        *chunks, last = client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": usage})
        assert "".join(texts_of([*chunks, last])) == text
        assert len(texts_of(chunks)) > 1
        assert [chunk.usage is not None for chunk in [*chunks, last]] == [False] * len(chunks) + [usage]
        for told in (answer, last):
            details = record_of(service, receipt_of(told))["details"]
            assert (details["answer"], details["finish_reason"]) == (text, "length")
            assert details["usage"] == {"input_tokens": answer.usage.prompt_tokens, "output_tokens": 6}


def test_a_response_and_its_stream_are_the_same_and_have_their_receipts(client: OpenAI, service: Service) -> None:
    answer = client.responses.create(**RESPONSE)
    assert answer.output_text
    *events, last = client.responses.create(**RESPONSE, stream=True)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == answer.output_text
    assert len(deltas) > 1
    assert last.type == "response.completed"
    assert last.response.output_text == answer.output_text
    receipts = [receipt_of(told) for told in (answer, last)]
    assert [record_of(service, receipt)["details"]["answer"] for receipt in receipts] == [answer.output_text] * 2
    assert service.verify(*receipts)["ok"]


@pytest.mark.parametrize("more", [{"n_predict": 30}, {"max_completion_tokens": 30}, {"max_tokens": 30}, {"n_cmpl": 2}], ids=str)
@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_no_other_word_lifts_the_cap_on_tokens(client: OpenAI, endpoint: str, more: Any) -> None:
    """llama.cpp has several parameters for it, with its own precedence, and can return several answers of that length."""
    with suppress(BadRequestError):
        if endpoint == "chat":
            chat = client.chat.completions.create(**CHAT | {"messages": LONG}, extra_body=more)
            assert chat.usage
            assert len(chat.choices) * chat.usage.completion_tokens <= CAP
        else:
            response = client.responses.create(**RESPONSE | {"input": LONG}, extra_body=more)
            assert response.usage
            assert len(response.output) * response.usage.output_tokens <= CAP


@pytest.mark.parametrize("name", ["verbose", "return_tokens", "lora", "samplers", "n_keep", "grammar", "ignore_eos"])
def test_it_accepts_only_parameters_of_openais_clients(client: OpenAI, name: str) -> None:
    for call, asked in ((client.chat.completions.create, CHAT), (client.responses.create, RESPONSE)):
        error = refused(call, **asked, extra_body={name: True})
        check_error(error, BadRequestError, 400, "invalid_request_error", "unsupported_parameter")
        assert error.param == name


@pytest.mark.parametrize("more", [{"cache_prompt": True}, {"cache_prompt": True, "id_slot": 0}], ids=str)
def test_a_caller_cannot_find_out_what_another_asked(client: OpenAI, service: Service, more: Any) -> None:
    """With `cache_prompt` llama.cpp reuses any caller's earlier prompt and counts how much of a new prompt matched it."""
    with newcomer(service, f"guesser-{len(more)}", max_retries=0) as guesser:
        for _ in range(embedded.SLOTS):
            client.chat.completions.create(**question("The code is tulip."))
            with suppress(BadRequestError):
                told = guesser.chat.completions.create(**question("The code is rose."), extra_body=more)
                assert told.usage
                assert told.usage.prompt_tokens_details
                assert told.usage.prompt_tokens_details.cached_tokens == 0


def question(text: str) -> Any:
    return {"model": embedded.MODEL_NAME, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
