"""How often and after which time OpenAI's Python SDK retries by itself: as our answers say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import InternalServerError, RateLimitError

from ..support.fake_openai import FakeOpenAI
from ..support.sdk import ANSWER, ask, check_error, hasty, newcomer, refused
from ..support.service import HTTP, Service
from ..support.waiting import eventually


def test_a_temporary_error_is_tried_three_times_after_the_named_time(service: Service, upstream: FakeOpenAI) -> None:
    upstream.set("status:500", headers={"Retry-After": "7"})
    with hasty(service, "tried-thrice") as client:
        check_error(refused(ask, client), InternalServerError, 503, "server_error", "upstream_unavailable")
    assert client.waits == [("7000", 7.0)] * 2
    assert upstream.calls() == 3
    own = [record["action"] for record in service.records() if record["user_id"] == "tried-thrice"]
    assert own == ["token.issued", *["ask.received", "ask.failed"] * 3]


def test_a_temporary_error_that_ends_is_retried_to_an_answer(service: Service, upstream: FakeOpenAI) -> None:
    upstream.set("status:500", headers={"Retry-After": "1"})
    with newcomer(service, "lucky") as client:

        def mend() -> None:
            eventually(lambda: upstream.calls() == 1)
            upstream.set("ok")

        with ThreadPoolExecutor(1) as pool:
            mending = pool.submit(mend)
            assert ask(client).choices[0].message.content == ANSWER
            mending.result()
    assert upstream.calls() == 2


@pytest.mark.parametrize("status", [400, 401, 409, 422])
def test_a_permanent_refusal_of_the_models_server_is_not_retried(service: Service, upstream: FakeOpenAI, status: int) -> None:
    upstream.set(f"status:{status}")
    with hasty(service, f"told-{status}") as client:
        refused(ask, client)
    assert (client.waits, upstream.calls()) == ([], 1)


def test_an_unpaid_bill_is_a_rate_limit_error_without_retry(service: Service, upstream: FakeOpenAI) -> None:
    upstream.set("status:429", body='{"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}}')
    with hasty(service, "unpaid") as client:
        error = refused(ask, client)
    check_error(error, RateLimitError, 429, "insufficient_quota", "insufficient_quota")
    assert (client.waits, upstream.calls()) == ([], 1)


def refused_so_far(service: Service) -> int:
    """How many requests were refused because they could not be recorded."""
    return int(HTTP.get(service.url + "/readyz").json()["refused_for_audit"])


def test_while_nothing_can_be_recorded_no_retry_and_no_model_call_is_made(service: Service, upstream: FakeOpenAI) -> None:
    away = service.log.with_name("away")
    with hasty(service, "unrecorded") as client:
        before = refused_so_far(service)
        service.log.rename(away)
        try:
            for stream in (False, True):
                error = refused(ask, client, stream=stream)
                check_error(error, InternalServerError, 503, "server_error", "audit_unavailable")
                assert error.response.headers["x-should-retry"] == "false"
            assert refused_so_far(service) == before + 2
        finally:
            away.rename(service.log)
        service.wait_ready()
        assert ask(client).choices[0].message.content == ANSWER
    assert (client.waits, upstream.calls()) == ([], 1)
