"""`previous_response_id`, where the operator allows it: for one's own recorded responses, and for nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from ..support.fake_openai import FakeOpenAI
from ..support.sdk import newcomer, records_named, refused
from ..support.service import Service

PREVIOUS = "previous_response_id"


def continuing(folder: Path, fake: FakeOpenAI, **more: Any) -> Service:
    """A service, not started, whose operator allows responses to be continued."""
    return Service(folder, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="sk-1", V1_SERVER_SIDE=PREVIOUS, **more)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with continuing(tmp_path_factory.mktemp("continued"), fake, workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[OpenAI]:
    with newcomer(service, "alice", max_retries=0) as client:
        yield client


def ask(client: OpenAI, **more: Any) -> Any:
    return client.responses.create(model="gpt-4o-mini", input="hi", **more)


def streamed(client: OpenAI, **more: Any) -> Any:
    """The last event's response, with the receipt that stands beside it."""
    end = list(ask(client, stream=True, **more))[-1]
    end.response.receipt = end.receipt
    return end.response


@pytest.mark.parametrize("begin", [ask, streamed])
@pytest.mark.parametrize("go_on", [ask, streamed])
def test_ones_own_response_is_continued_and_the_record_names_its_record(
    service: Service, client: OpenAI, begin: Any, go_on: Any
) -> None:
    first = begin(client)
    second = go_on(client, previous_response_id=first.id)
    assert second.previous_response_id == first.id, "the server got it"
    answered = next(one for one in service.records() if one["action"] == "ask.answered" and one["seq"] == first.receipt["seq"])
    received = [one for one in service.records() if one["action"] == "ask.received"][-1]
    assert received["details"]["previous"] == {"seq": answered["seq"], "hash": answered["hash"]}
    assert received["details"]["params"][PREVIOUS] == first.id


@pytest.mark.parametrize("go_on", [ask, streamed])
def test_anothers_response_and_an_unknown_one_are_refused_alike(
    service: Service, client: OpenAI, fake: FakeOpenAI, go_on: Any
) -> None:
    first = ask(client)
    messages = set()
    with newcomer(service, f"bob-{go_on.__name__}", max_retries=0) as other:
        for response_id in (first.id, "resp_unknown"):
            calls = fake.calls()
            error = refused(go_on, other, previous_response_id=response_id)
            assert isinstance(error, BadRequestError)
            assert (error.param, error.code, fake.calls()) == (PREVIOUS, "unsupported_parameter", calls)
            (record,) = records_named(service, error.request_id)
            assert (record["action"], record["details"]["param"]) == ("request.refused", PREVIOUS)
            messages.add(error.message)
    assert len(messages) == 1
    assert "send the whole conversation in input" in messages.pop()


def test_responses_are_known_after_kill_9(tmp_path: Path, fake: FakeOpenAI) -> None:
    with continuing(tmp_path, fake) as service, newcomer(service, "alice", max_retries=0) as client:
        first = ask(client)
        service.kill()
        service.start()
        assert ask(client, previous_response_id=first.id).previous_response_id == first.id


def test_what_is_no_id_is_refused_by_its_form(client: OpenAI) -> None:
    error = refused(client.post, "/responses", body={"model": "gpt-4o-mini", "input": "hi", PREVIOUS: 7}, cast_to=object)
    assert (error.param, error.code) == (PREVIOUS, "invalid_type")


@pytest.mark.parametrize("name", ["conversation", "background", "prompt"])
def test_nothing_else_is_kept_for_callers(client: OpenAI, name: str) -> None:
    error = refused(client.post, "/responses", body={"model": "gpt-4o-mini", "input": "hi", name: "x"}, cast_to=object)
    assert (error.param, error.code) == (name, "unsupported_parameter")


def test_without_the_operators_word_the_refusal_names_the_clients_switch(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="sk-1") as service:
        with newcomer(service, "alice", max_retries=0) as client:
            error = refused(ask, client, previous_response_id="resp_1")
    assert "LangChain: use_previous_response_id=False" in error.message
    assert not (tmp_path / "logs/audit_log.responses.sqlite3").exists()
