"""A stream on its way: what is written when, and what its end records. No sockets, no server."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import weakref
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.assistant import SecureAIAssistant
from app.assistant.models import Origin, Served
from app.assistant.streaming import StreamTimeouts
from app.audit.format.record import Receipt
from app.errors import AppError, AuditUnavailable, ClientGone, Interrupted, LongTextUnavailable, UpstreamError, UpstreamTimeout
from app.kit.event_stream import Event
from app.upstream.attempts import Attempts
from app.upstream.call import PreparedCall
from app.upstream.completion import Completion
from app.upstream.fair_slots import FairSlots
from app.upstream.protocol.chat_stream import DONE
from app.upstream.protocol.stream_reader import StreamReader
from app.upstream.resilience.breaker import Breaker
from app.upstream.turns import Turns

from ...support.asking import PRINCIPAL, FakeLog, origin, prepared
from ...support.virtual_time import simulate

SHORT = StreamTimeouts(keepalive_seconds=10, end_seconds=30, gather_seconds=0)


def says(content: str, finish: str | None = None) -> Event:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return Event(b"", json.dumps({"choices": [choice]}).encode())


END = [says("", "stop"), DONE]
Script = Sequence[list[Event] | float | BaseException | None]


@dataclass
class Source:
    """Gives what its script says: events, None for the end, seconds of silence, or an error."""

    script: list[Any]
    outcome: str = "open"
    due: float = 0.0
    is_behind = False
    kept: int = 0

    def kept_bytes(self, is_whole: bool) -> int:
        return self.kept

    async def read(self) -> list[Event] | None:
        """Silence goes on over reads that are cancelled."""
        now = asyncio.get_running_loop().time()
        if self.script and isinstance(self.script[0], float):
            self.due = now + self.script.pop(0)
        await asyncio.sleep(max(0.0, self.due - now))
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            raise step
        assert step is None or isinstance(step, list)
        return step

    async def begin(self) -> list[Event]:
        events: list[Event] | None = []
        while not events:
            if (events := await self.read()) is None:
                raise UpstreamError
        self.script.insert(0, events)
        return events

    def close(self) -> None:
        self.outcome = "closed"

    def finish(self) -> None:
        self.outcome = "finished"


@dataclass
class Upstream:
    source: Source
    opens_after: float = 0.0
    slots: FairSlots = field(default_factory=lambda: FairSlots(1024))
    turns: Turns = field(default_factory=Turns)
    breaker: Breaker = field(default_factory=Breaker)
    name: str = "lab"
    retries_idle_close: bool = True

    async def open_stream(self, endpoint: Any, body: bytes, attempts: Attempts, headers: Any) -> Source:
        await asyncio.sleep(self.opens_after)
        return self.source


@dataclass
class Sink:
    """Keeps what is written, with `.` for a sign of life. *blocks_at* is the write that is never done."""

    log: FakeLog
    written: list[str] = field(default_factory=list)
    blocks_at: str = "(none)"
    records_at_begin: list[str] = field(default_factory=list)

    def name(self, received: Receipt) -> None:
        self.written.append(f"name {received.seq}")

    def answered(self, call: PreparedCall, served: Served) -> None:
        assert served.attempts == 1

    async def begin(self) -> None:
        self.written.append("begin")

    async def keep_alive(self) -> None:
        await self.write(b".")

    def encode(self, events: Sequence[Event], text: str) -> bytes:
        return text.encode()

    async def write(self, data: bytes) -> None:
        if data.decode() == self.blocks_at:
            await asyncio.sleep(600)
        self.written.append(data.decode())

    async def end(self, reader: StreamReader, completion: Completion, receipt: Receipt) -> None:
        assert self.log.actions[-1] == "ask.answered", "the end leaves after its record only"
        await self.write(b"end")


@dataclass
class Run:
    log: FakeLog
    sink: Sink
    source: Source
    origin: Origin
    error: BaseException | None
    seconds: float

    @property
    def last(self) -> dict[str, Any]:
        return self.log.records[-1][1]


def stream(
    script: Script,
    timeouts: StreamTimeouts = SHORT,
    *,
    silence: float = 30,
    whole: float = 500,
    blocks_at: str = "(none)",
    opens_after: float = 0.0,
    kept: int = 0,
    turns: Turns | None = None,
    broken: dict[str, list[Exception]] | None = None,
    run: Callable[[Coroutine[Any, Any, BaseException | None]], BaseException | None] = simulate,
) -> Run:
    """*run*: another loop than the virtual one, whose clock does not wait for a thread."""
    log, source, start = FakeLog(broken or {}), Source(list(script), kept=kept), origin()
    sink, ended = Sink(log, blocks_at=blocks_at), list[float]()

    async def work() -> BaseException | None:
        assistant = SecureAIAssistant(log.security, None, None, timeouts=timeouts)  # type: ignore[arg-type]
        call = prepared(
            Upstream(source, opens_after, turns=turns or Turns()), timeout_seconds=silence, stream_timeout_seconds=whole
        )
        try:
            await assistant.stream(PRINCIPAL, call, start, sink)
        except AppError as error:
            return error
        finally:
            await asyncio.sleep(max(0.0, opens_after - silence))
            ended.append(asyncio.get_running_loop().time())
        return None

    error = run(work())
    return Run(log, sink, source, start, error, ended[0])


def test_events_are_written_as_they_arrive_and_the_end_after_its_record() -> None:
    run = stream([[says("Hel")], [says("lo"), *END]])
    assert run.error is None
    assert run.sink.written == ["name 1", "begin", "Hel", "lo", "end"]
    assert run.log.actions == ["ask.received", "ask.answered"]
    assert (run.last["answer"], run.last["finish_reason"], run.last["delivered"]["bytes"]) == ("Hello", "stop", 5)
    assert run.source.outcome == "finished"


def test_a_stream_larger_than_anybodys_share_ends_and_is_recorded() -> None:
    run = stream([[says("Hel")], [says("lo")], END], kept=100_000_000)
    assert run.log.actions == ["ask.received", "ask.failed"]
    assert run.last["code"] == "upstream_error"
    assert run.source.outcome == "closed"


@pytest.mark.parametrize("is_buffered", [False, True])
def test_a_text_that_cannot_be_kept_names_what_was_written_and_no_more(is_buffered: bool) -> None:
    timeouts = replace(SHORT, is_buffered=is_buffered)
    run = stream([[says("Hel")], [says("lo", "stop"), *END[1:]]], timeouts, broken={"ask.answered": [LongTextUnavailable()]})
    written = b"" if is_buffered else b"Hel"
    assert isinstance(run.error, LongTextUnavailable)
    assert run.last["delivered"] == ({"bytes": 3, "sha256": hashlib.sha256(written).hexdigest()} if written else None)


def test_after_the_first_writes_events_are_gathered() -> None:
    """The source of this test gives one event at each read; `gather_seconds` pass before each."""
    timeouts = StreamTimeouts(gather_seconds=0.5)
    run = stream([[says(letter)] for letter in "abcde"] + [END], timeouts)
    assert run.sink.written[2:] == ["a", "b", "c", "d", "e", "end"]
    assert run.seconds == pytest.approx(3 * 0.5)


def test_a_buffered_stream_writes_nothing_of_the_answer_before_its_record() -> None:
    timeouts = StreamTimeouts(keepalive_seconds=5, is_buffered=True)
    run = stream([[says("Hel")], 12.0, [says("lo")], END], timeouts)
    assert run.error is None
    assert run.sink.written[0] == "name 1"
    assert set(run.sink.written[1:-2]) == {"."}
    assert run.sink.written[-2:] == ["Hello", "end"]
    assert run.last["delivered"]["bytes"] == 5


def test_a_buffered_stream_that_fails_has_delivered_nothing() -> None:
    run = stream([[says("Hel")], UpstreamError()], StreamTimeouts(is_buffered=True))
    assert isinstance(run.error, UpstreamError)
    assert run.last["delivered"] is None


def test_a_silent_server_is_waited_for_with_signs_of_life_then_given_up() -> None:
    run = stream([[says("Hel")], 600.0])
    assert isinstance(run.error, UpstreamTimeout)
    assert run.sink.written == ["name 1", "begin", "Hel", ".", "."]
    assert (run.last["code"], run.last["delivered"]["answer"]) == ("upstream_timeout", "Hel")
    assert run.source.outcome == "closed"


def test_every_event_breaks_the_silence() -> None:
    run = stream([step for letter in "abcd" for step in (25.0, [says(letter)])] + [END])
    assert run.error is None
    assert run.sink.written == ["name 1", ".", ".", "begin", "a", *"..b", *"..c", *"..d", "end"]


def test_a_server_that_does_not_begin_is_waited_for_as_long() -> None:
    run = stream([], opens_after=50)
    assert isinstance(run.error, UpstreamTimeout)
    assert run.sink.written == ["name 1", ".", "."]
    assert run.last["delivered"] is None


def test_a_stream_has_an_end_however_lively_it_is() -> None:
    run = stream([step for _ in range(100) for step in (2.0, [says("a")])], whole=31)
    assert isinstance(run.error, UpstreamTimeout)
    assert run.last["delivered"]["answer"] == 15 * "a"
    assert run.source.outcome == "closed"


@pytest.mark.parametrize(("script", "blocks_at"), [([[says("Hel")], END], "Hel"), ([[says("Hel")], 600.0], ".")])
def test_a_caller_who_does_not_read_is_given_up(script: Script, blocks_at: str) -> None:
    run = stream(script, blocks_at=blocks_at)
    assert isinstance(run.error, ClientGone)
    assert str(run.error) == "The caller does not read."
    assert run.last["code"] == "client_gone"
    assert run.source.outcome == "closed"


def test_a_caller_who_does_not_read_the_end_has_the_answers_record() -> None:
    run = stream([[says("Hel")], END], blocks_at="end")
    assert isinstance(run.error, ClientGone)
    assert run.log.actions == ["ask.received", "ask.answered"]
    assert run.origin.terminal_record.is_written


def test_what_came_before_a_bad_event_is_delivered_and_recorded() -> None:
    run = stream([[says("Hel"), Event(b"", b"no JSON"), says("lo")], [says("!"), *END]])
    assert type(run.error) is UpstreamError
    assert run.sink.written == ["name 1", "begin", "Hel"]
    assert (run.last["code"], run.last["delivered"]["answer"]) == ("upstream_error", "Hel")


@pytest.mark.parametrize("script", [[None], [[says("Hel")], None]])
def test_a_stream_that_breaks_off_is_no_answer(script: Script) -> None:
    run = stream(script)
    assert type(run.error) is UpstreamError
    assert run.source.outcome == "closed"


def test_a_stream_that_ends_without_its_marker_is_whole_if_it_said_why() -> None:
    run = stream([[says("Hello", "stop")], None])
    assert run.error is None
    assert (run.sink.written[-1], run.last["answer"]) == ("end", "Hello")


class Cut(Turns):
    """The second piece of heavy work is cancelled before it begins, as by a stop."""

    works = 0

    async def work(self, do: Any, *args: Any, **kwargs: Any) -> Any:
        self.works += 1
        if self.works == 2:
            raise asyncio.CancelledError
        return await super().work(do, *args, **kwargs)


def test_what_was_written_is_recorded_if_a_stop_comes_before_it_is_noted() -> None:
    text = "long " * 100_000
    run = stream([[says(text)], END], turns=Cut(), run=asyncio.run)
    assert isinstance(run.error, Interrupted)
    assert run.last["delivered"]["answer"] == text


def test_the_error_of_a_record_and_the_stream_behind_it_are_freed_at_once() -> None:
    gc.disable()
    try:
        run = stream([[says("Hel")], END], broken={"ask.answered": [AuditUnavailable("broken")]})
        assert run.error is not None
        error, run.error = weakref.ref(run.error), None
        is_freed = error() is None
        assert is_freed
    finally:
        gc.enable()
