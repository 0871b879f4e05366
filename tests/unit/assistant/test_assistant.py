"""The road of a question, with a fake log and a fake server: what is recorded before what is done."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from app.assistant import SecureAIAssistant
from app.assistant.models import Question
from app.assistant.upper_bound import TermsInForce
from app.catalogue.models import Catalogue, ModelEntry, Server
from app.errors import AuditUnavailable, ClientGone, Interrupted, ModelNotFound, Overloaded, UpstreamError, UpstreamTimeout
from app.security.models import Principal
from app.upstream.attempts import Attempts
from app.upstream.completion import Completion, Reply, Usage
from app.upstream.fair_slots import FairSlots
from app.upstream.protocol.chat import CHAT
from app.upstream.resilience.breaker import Breaker

from ...support.asking import PRINCIPAL, FakeLog, origin, prepared
from ...support.caps import CAPS
from ...support.waiting import run_in_time, until

REPLY = Reply(b'{"raw": 1}', {"raw": 1}, Completion("fine", "small-1", Usage(3, 5), answer="fine", finish="stop"))


@dataclass
class FakeUpstream:
    """Notes in the log's order when it is asked. *outcome* is what it answers, raises or awaits."""

    log: FakeLog
    outcome: Reply | BaseException | None = REPLY
    slots: FairSlots = field(default_factory=lambda: FairSlots(1024))
    breaker: Breaker = field(default_factory=Breaker)
    name: str = "lab"
    retries_idle_close: bool = True

    def digests(self, body: bytes) -> dict[str, str | None]:
        return {"upstream_sha256": hashlib.sha256(body).hexdigest()}

    async def complete(self, endpoint: Any, body: bytes, model: str, *, wants_text: bool, attempts: Attempts, **_: Any) -> Reply:
        self.log.records.append(("(asked)", {"path": endpoint.path, "body": body, "model": model, "wants_text": wants_text}))
        if self.outcome is None:
            await asyncio.sleep(60)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome


ENTRY = ModelEntry("alias", "small-1", Server("lab", None, ""))


class Requests:
    """In place of V1Requests: alice may use the model, others may not."""

    def __init__(self, **caps: Any) -> None:
        self.catalogue = Catalogue({"alias": ENTRY}, replace(CAPS, **caps), {}, frozenset())
        self.terms = TermsInForce(self.catalogue)

    def verify_may_use(self, alias: str, principal: Principal) -> ModelEntry:
        if principal is not PRINCIPAL:
            raise ModelNotFound(alias, is_known=True)
        return ModelEntry(alias, alias, Server("lab", None, ""))


def assistant(
    log: FakeLog, upstream: FakeUpstream | None = None, timeout_seconds: float = 5, **members: Any
) -> SecureAIAssistant:
    model: Any = SimpleNamespace(
        name="alias",
        upstream=upstream,
        chain="the chain",
        build_body=lambda query, stream=False: f"{query} {stream}".encode(),
        at=lambda entry, served, upstream, most: model,
    )
    requests: Any = Requests(timeout_seconds=timeout_seconds)
    return SecureAIAssistant(log.security, model, requests, **members)


def run(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async def ended() -> None:
        await work()

    run_in_time(ended())


def test_a_question_is_recorded_then_asked_then_its_answer_recorded() -> None:
    log = FakeLog()

    async def work() -> None:
        answer = await assistant(log, FakeUpstream(log)).ask(PRINCIPAL, Question("hi", origin()))
        assert (answer.answer, answer.model, answer.usage, answer.request_id) == ("fine", "small-1", Usage(3, 5), "0" * 32)
        assert answer.receipt.seq == len(log.records)

    run(work)
    assert log.actions == ["ask.received", "(asked)", "ask.answered"]
    assert log.records[0][1]["query"] == "hi"
    assert log.records[0][1]["upstream_sha256"] == hashlib.sha256(b"hi False").hexdigest()
    assert log.records[1][1] == {"path": "/chat/completions", "body": b"hi False", "model": "alias", "wants_text": True}
    assert "delivered" not in log.records[2][1], "/ask gives the text, not the server's bytes"


def test_the_record_of_a_v1_answer_holds_the_digest_of_the_servers_bytes() -> None:
    log = FakeLog()

    async def work() -> None:
        document = await assistant(log).complete(PRINCIPAL, prepared(FakeUpstream(log)), origin())
        assert (document.raw, document.members) == (REPLY.raw, REPLY.document)

    run(work)
    assert log.records[-1][1]["delivered"] == {"bytes": 10, "sha256": hashlib.sha256(REPLY.raw).hexdigest()}


def test_a_call_for_ask_is_prepared_from_the_models_body() -> None:
    log = FakeLog()
    call = assistant(log, FakeUpstream(log)).prepare_ask(Question("hi", origin()), PRINCIPAL, stream=True)
    assert (call.body, call.digests["upstream_sha256"]) == (b"hi True", hashlib.sha256(b"hi True").hexdigest())
    assert (call.endpoint, call.model, call.asked, call.wants_text) == (CHAT, "alias", {"query": "hi"}, True)


def test_a_model_that_is_not_for_this_principal_leaves_no_record() -> None:
    log, other = FakeLog(), Principal("bob", (), "bob", "2" * 32, 0)
    with pytest.raises(ModelNotFound):
        run(lambda: assistant(log).ask(other, Question("hi", origin())))
    assert log.records == []


@pytest.mark.parametrize("action", ["ask.received", "ask.answered"])
def test_no_answer_leaves_without_its_records(action: str) -> None:
    log = FakeLog({action: [AuditUnavailable()]})
    with pytest.raises(AuditUnavailable):
        run(lambda: assistant(log, FakeUpstream(log)).ask(PRINCIPAL, Question("hi", origin())))
    assert log.actions == ([] if action == "ask.received" else ["ask.received", "(asked)"])


def test_an_error_of_the_server_is_the_callers_and_recorded() -> None:
    log, error = FakeLog(), UpstreamError()
    with pytest.raises(UpstreamError) as caught:
        run(lambda: assistant(log, FakeUpstream(log, error)).ask(PRINCIPAL, Question("hi", origin())))
    assert caught.value is error
    assert log.actions == ["ask.received", "(asked)", "ask.failed"]


def test_a_server_that_is_too_slow_is_asked_no_longer() -> None:
    log = FakeLog()
    slow = assistant(log, FakeUpstream(log, None), timeout_seconds=0.05)
    with pytest.raises(UpstreamTimeout):
        run(lambda: slow.ask(PRINCIPAL, Question("hi", origin())))
    assert log.records[-1][1]["code"] == "upstream_timeout"


def test_a_caller_who_disconnects_ends_the_question() -> None:
    log = FakeLog()

    async def work() -> None:
        disconnected = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, disconnected.set_result, None)
        with pytest.raises(ClientGone):
            await assistant(log, FakeUpstream(log, None)).ask(PRINCIPAL, Question("hi", origin()), disconnected)

    run(work)
    assert log.actions == ["ask.received", "(asked)", "ask.failed"]
    assert log.records[-1][1]["code"] == "client_gone"


def test_a_stop_ends_the_question_as_interrupted() -> None:
    log = FakeLog()

    async def work() -> None:
        task = asyncio.create_task(assistant(log, FakeUpstream(log, None)).ask(PRINCIPAL, Question("hi", origin())))
        await until(lambda: "(asked)" in log.actions)
        task.cancel()
        with pytest.raises(Interrupted):
            await task

    run(work)
    assert log.records[-1][1]["code"] == "interrupted"


def test_a_question_without_a_slot_of_its_server_is_not_recorded_as_asked() -> None:
    log = FakeLog()
    upstream = FakeUpstream(log, None, FairSlots(2, wait_seconds=0))

    async def work() -> None:
        one = assistant(log, upstream)
        first = asyncio.create_task(one.ask(PRINCIPAL, Question("hi", origin())))
        await until(lambda: "(asked)" in log.actions)
        with pytest.raises(Overloaded):
            await one.ask(PRINCIPAL, Question("hi", origin()))
        assert log.actions == ["ask.received", "(asked)"]
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    run(work)


def test_a_caller_who_disconnects_before_a_slot_is_free_is_not_asked_for() -> None:
    log = FakeLog()
    upstream = FakeUpstream(log, None, FairSlots(2, wait_seconds=60))

    async def work() -> None:
        one, disconnected = assistant(log, upstream), asyncio.get_running_loop().create_future()
        first = asyncio.create_task(one.ask(PRINCIPAL, Question("hi", origin())))
        await until(lambda: "(asked)" in log.actions)
        asyncio.get_running_loop().call_later(0.02, disconnected.set_result, None)
        with pytest.raises(ClientGone):
            await one.ask(PRINCIPAL, Question("hi", origin()), disconnected)
        assert log.actions == ["ask.received", "(asked)"]
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    run(work)


def test_until_idle_waits_for_questions_but_not_longer_than_it_may() -> None:
    log = FakeLog()

    async def work() -> None:
        one = assistant(log, FakeUpstream(log, None))
        clock = asyncio.get_running_loop().time
        started = clock()
        await one.until_idle(5)
        assert clock() - started < 1
        task = asyncio.create_task(one.ask(PRINCIPAL, Question("hi", origin())))
        await asyncio.sleep(0)
        await one.until_idle(0.05)
        assert not task.done()
        asyncio.get_running_loop().call_later(0.05, task.cancel)
        await one.until_idle(5)
        assert clock() - started < 2
        with pytest.raises(Interrupted):
            await task
        assert log.actions[-1] == "ask.failed"

    run(work)


def test_a_stop_ends_the_wait_for_memory_and_hedging() -> None:
    async def work() -> None:
        one, who = assistant(FakeLog()), PRINCIPAL.user_id
        await one.answers.take(who, one.answers.most)
        waiting = asyncio.create_task(one.answers.take(who, 1))
        await asyncio.sleep(0)
        one.begin_stop()
        with pytest.raises(Interrupted):
            await waiting
        assert one._loop.is_stopping

    run(work)


def test_the_chain_is_the_models() -> None:
    assert assistant(FakeLog()).chain == "the chain"
