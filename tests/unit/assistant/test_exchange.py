"""The records of a question: what each holds, in which order, and which error the caller sees."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.assistant.exchange import Exchange
from app.errors import (
    AppError,
    AuditUnavailable,
    ClientGone,
    Interrupted,
    LongTextUnavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.kit.event_stream import Event
from app.limits.budgets.store import PotState
from app.security.asserted_user import AssertedUser
from app.upstream.completion import Completion, Usage
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.chat_stream import ChatReader

from ...support.asking import ORIGIN_ID, PRINCIPAL, FakeLog, origin, prepared
from ...support.budget_process import BudgetProcess
from ...support.budget_process import run as run_budgets
from ...support.budgets import budget, claim
from ...support.waiting import until

DIGEST = "upstream_response_sha256"
ANSWER = Completion("fine", "small-1", Usage(3, 5), answer="fine", finish="stop")


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_an_asserted_user_is_in_all_records_and_a_claim_in_the_first() -> None:
    user, claim = AssertedUser("u1", "x-forwarded-user"), AssertedUser("c1", "user")
    log = FakeLog()

    async def work() -> None:
        where = replace(origin(), asserted_user=user, claimed_user=claim)
        async with Exchange(log.security, PRINCIPAL, prepared(), where) as one:
            await one.answered(ANSWER)
        with pytest.raises(UpstreamError):
            async with Exchange(log.security, PRINCIPAL, prepared(), where):
                raise UpstreamError

    run(work)
    assert [action for action, _ in log.records] == ["ask.received", "ask.answered", "ask.received", "ask.failed"]
    assert all(details["asserted_user"] == {"id": "u1", "source": "x-forwarded-user"} for _, details in log.records)
    claims = [details.get("claimed_user") for _, details in log.records]
    assert claims == [{"id": "c1", "source": "user"}, None] * 2


def exchange(log: FakeLog, reader: ChatReader | None = None, policy: str = "", **members: Any) -> Exchange:
    times, call = iter([10.0, 10.25, 11.0]), prepared(policy=policy)
    return Exchange(log.security, PRINCIPAL, call, origin(**members), reader=reader, clock=lambda: next(times))


async def leave(log: FakeLog, error: BaseException, reader: ChatReader | None = None, data: bytes = b"") -> None:
    """The block gives *data* to the caller, then raises *error*."""
    async with exchange(log, reader) as one:
        one.mark_delivered(data)
        raise error


def reader_of(*contents: str) -> ChatReader:
    reader = CHAT.reader("alias", False)
    for content in contents:
        reader.feed(Event(b"", json.dumps({"choices": [{"index": 0, "delta": {"content": content}}]}).encode()))
    reader.mark_delivered()
    return reader


def test_a_question_that_goes_well_has_two_records_byte_for_byte() -> None:
    log = FakeLog()

    async def work() -> None:
        async with exchange(log, client_request_id="mine") as one:
            assert log.actions == ["ask.received"]
            assert one.received.seq == 1
            receipt = await one.answered(ANSWER)
            assert receipt.seq == 2

    run(work)
    assert json.dumps(log.records) == json.dumps(
        [
            (
                "ask.received",
                {
                    "query": "hi",
                    "roles": ["ai.playground.user"],
                    "model": "alias",
                    "address": "192.0.2.1",
                    "upstream_sha256": "5" * 64,
                    "client_request_id": "mine",
                    "credential": f"token:{'1' * 32}",
                },
            ),
            (
                "ask.answered",
                {
                    "received": 1,
                    "answer": "fine",
                    "model": "small-1",
                    "usage": {"input_tokens": 3, "output_tokens": 5},
                    "elapsed_ms": 250,
                    "attempts": 1,
                    "finish_reason": "stop",
                    "upstream_response_sha256": None,
                    "credential": f"token:{'1' * 32}",
                },
            ),
        ]
    )
    assert log.answered == [("alice", "0" * 32, "small-1", (3, 5))]


def test_a_question_names_the_policy_that_it_began_with() -> None:
    log = FakeLog()

    async def work() -> None:
        async with exchange(log, policy="6" * 16) as one:
            await one.answered(ANSWER)

    run(work)
    details = log.records[0][1]
    assert list(details)[4:6] == ["upstream_sha256", "policy"]
    assert details["policy"] == "6" * 16


def test_an_answer_of_which_bytes_were_given_names_their_digest_last() -> None:
    log = FakeLog()

    async def work() -> None:
        async with exchange(log) as one:
            one.mark_delivered(b"one")
            one.mark_delivered(b"two")
            await one.answered(Completion(None, "m", None, answer={"vectors": 1}))

    run(work)
    details = log.records[1][1]
    assert list(details) == ["received", "answer", "model", "usage", "elapsed_ms", "attempts", "delivered", DIGEST, "credential"]
    assert details["delivered"] == {"bytes": 6, "sha256": hashlib.sha256(b"onetwo").hexdigest()}
    assert details["usage"] is None


def test_a_streamed_answer_names_its_digest_even_if_nothing_was_given() -> None:
    log = FakeLog()

    async def work() -> None:
        async with exchange(log, reader_of()) as one:
            await one.answered(ANSWER)

    run(work)
    assert log.records[1][1]["delivered"] == {"bytes": 0, "sha256": hashlib.sha256().hexdigest()}


@pytest.mark.parametrize(
    ("raised", "seen", "code"),
    [
        (TimeoutError(), UpstreamTimeout, "upstream_timeout"),
        (UpstreamError(), UpstreamError, "upstream_error"),
        (UpstreamUnavailable(retry_after=2), UpstreamUnavailable, "upstream_unavailable"),
        (ClientGone(), ClientGone, "client_gone"),
        (asyncio.CancelledError(), Interrupted, "interrupted"),
        (RuntimeError("unexpected"), AppError, "internal"),
    ],
)
def test_an_error_is_recorded_and_becomes_the_callers(raised: BaseException, seen: type[AppError], code: str) -> None:
    log, start = FakeLog(), origin()

    async def work() -> None:
        async with Exchange(log.security, PRINCIPAL, prepared(), start, clock=lambda: 1.0):
            raise raised

    with pytest.raises(AppError) as caught:
        run(work)
    assert type(caught.value) is seen
    assert start.terminal_record.is_written
    details = {"received": 1, "code": code, "elapsed_ms": 0, "attempts": 1, "delivered": None, DIGEST: None}
    assert log.records[1:] == [("ask.failed", {**details, "credential": PRINCIPAL.credential})]
    if isinstance(raised, AppError):
        assert caught.value is raised
    else:
        assert caught.value.__cause__ is (raised if isinstance(raised, RuntimeError) else None)
        assert caught.value.__suppress_context__


def test_only_an_unexpected_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    for error in (TimeoutError(), UpstreamError(), asyncio.CancelledError(), RuntimeError("unexpected")):
        with pytest.raises(AppError), caplog.at_level(logging.INFO):
            run(lambda error=error: leave(FakeLog(), error))  # type: ignore[misc]
    (line,) = caplog.records
    assert (line.name, line.levelname) == ("app.assistant", "ERROR")
    assert "0" * 32 in line.getMessage()
    assert line.exc_info is not None
    assert "unexpected" in str(line.exc_info[1])


def test_what_ends_the_process_is_not_recorded() -> None:
    log = FakeLog()
    with pytest.raises(KeyboardInterrupt):
        run(lambda: leave(log, KeyboardInterrupt()))
    assert log.actions == ["ask.received"]


def test_a_failed_stream_records_what_reached_the_caller() -> None:
    log = FakeLog()
    with pytest.raises(ClientGone):
        run(lambda: leave(log, ClientGone(), reader_of("Hel", "lo"), b"Hello"))
    delivered = log.records[1][1]["delivered"]
    assert delivered == {"answer": "Hello", "bytes": 5, "sha256": hashlib.sha256(b"Hello").hexdigest()}
    assert list(delivered) == ["answer", "bytes", "sha256"]


def test_nothing_is_asked_if_the_question_cannot_be_recorded() -> None:
    log = FakeLog({"ask.received": [AuditUnavailable()]})

    async def work() -> None:
        async with exchange(log):
            raise AssertionError("entered")

    with pytest.raises(AuditUnavailable):
        run(work)
    assert log.records == []


@pytest.mark.parametrize("raised", [UpstreamError(), TimeoutError(), asyncio.CancelledError(), RuntimeError()])
def test_audit_unavailable_replaces_an_error_that_cannot_be_recorded(raised: BaseException) -> None:
    log = FakeLog({"ask.failed": [AuditUnavailable()]})
    with pytest.raises(AuditUnavailable):
        run(lambda: leave(log, raised))
    assert log.actions == ["ask.received"]


def test_an_answer_that_cannot_be_recorded_does_not_leave_and_stays_open() -> None:
    log = FakeLog({"ask.answered": [AuditUnavailable()]})

    async def work() -> None:
        async with exchange(log) as one:
            await one.answered(ANSWER)

    with pytest.raises(AuditUnavailable):
        run(work)
    assert (log.actions, log.answered) == (["ask.received"], [])


def test_an_answer_whose_long_text_cannot_be_kept_is_a_failure() -> None:
    log = FakeLog({"ask.answered": [LongTextUnavailable()]})

    async def work() -> None:
        async with exchange(log) as one:
            await one.answered(ANSWER)

    with pytest.raises(LongTextUnavailable):
        run(work)
    assert [(action, details.get("code")) for action, details in log.records[1:]] == [("ask.failed", "audit_unavailable")]


def test_a_failure_whose_long_text_cannot_be_kept_names_the_digest_alone() -> None:
    log = FakeLog({"ask.failed": [LongTextUnavailable()]})
    with pytest.raises(ClientGone):
        run(lambda: leave(log, ClientGone(), reader_of("Hello"), b"Hello"))
    assert log.records[1][1]["delivered"] == {"bytes": 5, "sha256": hashlib.sha256(b"Hello").hexdigest()}


@pytest.mark.parametrize("error", [RuntimeError(), asyncio.CancelledError(), TimeoutError()])
def test_an_error_after_the_answers_record_adds_no_record(error: BaseException) -> None:
    log = FakeLog()

    async def work() -> None:
        async with exchange(log) as one:
            await one.answered(ANSWER)
            raise error

    with pytest.raises(type(error)):
        run(work)
    assert log.actions == ["ask.received", "ask.answered"]


def test_a_stop_while_the_question_is_recorded_waits_and_asks_nothing() -> None:
    log = FakeLog(written=asyncio.Event())

    async def work() -> None:
        async def ask() -> None:
            async with exchange(log):
                raise AssertionError("entered")

        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        assert log.written is not None
        log.written.set()
        with pytest.raises(Interrupted):
            await task

    run(work)
    assert log.actions == ["ask.received", "ask.failed"]
    assert log.records[1][1]["code"] == "interrupted"


def test_a_stop_while_the_answer_is_recorded_lets_the_answer_leave() -> None:
    log = FakeLog()

    async def work() -> None:
        async def ask() -> int:
            async with exchange(log) as one:
                log.written = asyncio.Event()
                return (await one.answered(ANSWER)).seq

        task = asyncio.create_task(ask())
        await until(lambda: log.written is not None)
        assert log.written is not None
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        log.written.set()
        assert await task == 2

    run(work)
    assert log.actions == ["ask.received", "ask.answered"]


# --- budgets ------------------------------------------------------------------------------------------

TOKENS = budget(tokens=400)


def under_a_budget(
    folder: Path, log: FakeLog, work: Callable[[Exchange], Coroutine[Any, Any, None]]
) -> tuple[PotState, list[str]]:
    """What the budget holds afterwards, and which reservations are to be looked up."""

    async def main() -> tuple[PotState, list[str]]:
        async with BudgetProcess(folder) as process:
            call = prepared(claim=claim(TOKENS, price=None))
            with suppress(AppError):
                async with Exchange(log.security, PRINCIPAL, call, origin(), budgets=process.budgets) as one:
                    await work(one)
            pots = await process.pots()
            return next(iter(pots.values()), PotState(0, 0, 0)), list(process.ledger.left)

    return run_budgets(main)


async def is_answered(one: Exchange) -> None:
    one.attempts.begin("local", "5" * 64).is_sent = True
    await one.answered(ANSWER)


async def fails(one: Exchange) -> None:
    raise UpstreamError


async def fails_after_sending(one: Exchange) -> None:
    one.attempts.begin("local", "5" * 64).is_sent = True
    raise UpstreamError


@pytest.mark.parametrize(
    ("work", "action", "by", "state"),
    [
        (is_answered, "ask.answered", "usage", PotState(8, 0, 0)),
        (fails, "ask.failed", "nothing", PotState(0, 0, 0)),
        (fails_after_sending, "ask.failed", "reservation", PotState(150, 0, 0)),
    ],
)
def test_records_say_what_was_reserved_and_spent(tmp_path: Path, work: Any, action: str, by: str, state: PotState) -> None:
    log = FakeLog()
    assert under_a_budget(tmp_path, log, work) == (state, [])
    (_, received), (ended, details) = log.records
    assert (received["reserved"][0]["amount"], list(received)[-2:]) == (150, ["reserved", "credential"])
    assert (ended, details["spent"][0]["by"], details["spent"][0]["amount"]) == (action, by, state.spent)


def test_without_a_record_of_the_question_nothing_stays_reserved_for_long(tmp_path: Path) -> None:
    log = FakeLog(broken={"ask.received": [AuditUnavailable()]})
    assert under_a_budget(tmp_path, log, is_answered) == (PotState(0, 150, 0), [ORIGIN_ID]), "it may have been written"


def test_without_a_record_of_the_end_the_reservation_is_looked_up(tmp_path: Path) -> None:
    log = FakeLog(broken={"ask.answered": [AuditUnavailable()]})
    assert under_a_budget(tmp_path, log, is_answered) == (PotState(0, 150, 0), [ORIGIN_ID])


def test_an_answer_whose_text_cannot_be_kept_is_paid_for(tmp_path: Path) -> None:
    log = FakeLog(broken={"ask.answered": [LongTextUnavailable()]})
    assert under_a_budget(tmp_path, log, is_answered) == (PotState(8, 0, 0), [])
    assert [action for action, _ in log.records] == ["ask.received", "ask.failed"]


def test_a_question_whose_text_cannot_be_kept_reserves_nothing(tmp_path: Path) -> None:
    log = FakeLog(broken={"ask.received": [LongTextUnavailable()]})
    assert under_a_budget(tmp_path, log, is_answered) == (PotState(0, 0, 0), [])
