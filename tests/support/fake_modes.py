"""What the fake does with each call in its mode: the bytes to write, the seconds to wait before them, and the end.

In a stream, `first` is the wait before the first content chunk, `interval` that before every later event (then written alone).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, repeat
from typing import Any, Literal, TypeAlias

import orjson

from .fake_answers import SCRIPT, Events, Script, chat_document, chat_events, embedding_document
from .fake_messages import INJECTED, count_document, message_document, message_events, text_document, text_events
from .fake_responses import response_document, response_events

HUGE_BYTES, HUGE_EVENT_BYTES = 256 * 1024 * 1024, 64 * 1024 * 1024
PIECE = 64 * 1024  # also a transport's high-water mark
KEPT_BODIES, KEPT_DIGESTS = 1_000, 1_000_000
MODES = re.compile(
    r"ok|no_usage|redirect|garbage|not_http|hang|close|truncate|huge|status:\d{3}"
    r"|no_done|huge_event|(stall|cut|error_event|garbage_event):\d+"
)
DOCUMENTS = {
    b"/v1/chat/completions": chat_document,
    b"/v1/responses": response_document,
    b"/v1/embeddings": embedding_document,
    b"/v1/completions": text_document,
    b"/v1/messages": message_document,
    b"/v1/messages/count_tokens": count_document,
}
STREAMS = {
    b"/v1/chat/completions": chat_events,
    b"/v1/responses": response_events,
    b"/v1/completions": text_events,
    b"/v1/messages": message_events,
}
REFUSAL = b'{"error":{"message":"injected","type":"fake","code":null}}'

Writes: TypeAlias = Iterator[tuple[float, bytes]]  # seconds to wait, then what to write
Ending: TypeAlias = Literal["keep", "close", "abort", "silence"]  # of the connection, after the last write


@dataclass
class Counts:
    """Counts since the last reset. Calls that began before it are not counted."""

    calls: int = 0
    strays: int = 0
    huge_bytes: int = 0
    too_many: int = 0
    """Refused, because so many were open as the server bears."""
    open: int = 0
    streams: dict[str, int] = field(default_factory=lambda: {"open": 0, "finished": 0, "aborted": 0})


class Call:
    """One request: open until it is answered or its client disconnects."""

    __slots__ = ("_counts", "_streamed", "ending", "writes")

    def __init__(self, writes: Writes, counts: Counts, ending: Ending = "keep", streamed: bool = False) -> None:
        self.writes, self.ending = writes, ending
        self._counts, self._streamed = counts, streamed
        self._count(1, "open")

    def finished(self) -> None:
        self._count(-1, "open", "finished")

    def aborted(self) -> None:
        self._count(-1, "open", "aborted")

    def _count(self, change: int, *names: str) -> None:
        self._counts.open += change
        for name in names if self._streamed else ():
            self._counts.streams[name] += change if name == "open" else 1


@dataclass(frozen=True)
class Mode:
    """Set by the control endpoint. *body* replaces that of a plain answer in any mode; *script* is the whole content of a
    stream. U+DC80 to U+DCFF in either become bytes that are not UTF-8."""

    mode: str = "ok"
    delay: float = 0.0
    """Seconds before the status line."""
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: int | None = None
    """Content chunks of a stream (of each of its choices)."""
    interval: float = 0.0
    first: float = 0.0
    script: list[str] | None = None
    bears: int | None = None
    """Calls that may be open at one time. The next one is refused at once, with the status *over*."""
    over: int = 429
    agent: dict[str, Any] | None = None
    """The members of `fake_answers.Script`."""

    def __post_init__(self) -> None:
        if not MODES.fullmatch(self.mode):
            raise ValueError(f"no such mode: {self.mode}")

    @cached_property
    def script_of_agent(self) -> Script | None:
        return Script(**self.agent) if self.agent else None

    @cached_property
    def kind(self) -> str:
        """The mode without its number."""
        return self.mode.partition(":")[0]

    @cached_property
    def number(self) -> int | None:
        """The number in a mode such as `stall:K` or `status:NNN`."""
        number = self.mode.partition(":")[2]
        return int(number) if number else None

    @cached_property
    def wanted_chunks(self) -> int | None:
        """As set, but at least enough for a fault after K chunks."""
        return self.number if (self.number or 0) > (self.chunks or 4) else self.chunks

    @cached_property
    def plain_head(self) -> bytes:
        return self.head(200, "application/json")

    def head(self, status: int, kind: str, *more: str) -> bytes:
        """The status line and all headers but the last; the empty line is missing."""
        names = {name.lower() for name in self.headers}
        lines = [f"{name}: {text}" for name, text in self.headers.items()]
        lines += [*more] if "content-type" in names else [f"Content-Type: {kind}", *more]
        return "\r\n".join([f"HTTP/1.1 {status} {'OK' if status == 200 else 'As Told'}", *lines, ""]).encode()


PLAIN = Mode()


class Fake:
    """The state shared by all connections of one process."""

    def __init__(self, delay: float = 0.0, keep_digests: bool = False) -> None:
        self.keep_digests = keep_digests
        self.reset()
        self.mode = Mode(delay=delay)  # until the first control/mode

    def reset(self) -> None:
        self.counts = Counts()
        self.bodies: deque[bytes] = deque(maxlen=KEPT_BODIES)
        self.paths: deque[str] = deque(maxlen=KEPT_BODIES)
        self.headers: list[tuple[bytes, bytes]] = []
        self.digests: deque[str] = deque(maxlen=KEPT_DIGESTS)
        self.mode = Mode()

    def call(self, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Call | bytes:
        """Count a call and decide what to write: bytes if they can be written at once."""
        self.counts.calls += 1
        self.headers = headers
        self.bodies.append(body)
        self.paths.append(target.decode())
        if self.keep_digests:
            self.digests.append(hashlib.sha256(body).hexdigest())
        refusal = INJECTED if target.startswith(b"/v1/messages") else REFUSAL
        if self.mode.bears is not None and self.counts.open >= self.mode.bears:
            self.counts.too_many += 1
            return _reply(self.mode, self.mode.over, refusal)
        match self.mode.kind:
            case "status":
                return self._plain(self.mode.number or 0, refusal)
            case "hang":
                return Call(iter(()), self.counts, "silence")
            case "close":
                return self._act(ending="abort")
            case "not_http":
                return self._act(b"\x00\x01\x02 this is not HTTP\r\n\r\n", ending="close")
            case "redirect":
                return self._plain(307, b"", "Location: /redirected/chat/completions")
            case "garbage":
                return self._plain(200, b"<html>this is not JSON</html>")
            case "huge":
                head = self.mode.head(200, "application/json") + b'Connection: close\r\n\r\n"'
                return self._act(head, self._huge(HUGE_BYTES, b"x" * PIECE), ending="close")
        if self.mode.script is not None:
            pieces = [piece.encode("utf-8", "surrogateescape") for piece in self.mode.script]
            return self._stream(Events([], pieces, [], b"", lambda _: b'data: {"error":{"message":"injected"}}\n\n'))
        try:
            return self._answer(target, orjson.loads(body))
        except (LookupError, TypeError, ValueError, AttributeError):
            message = b'{"error":{"message":"the fake cannot read this","type":"invalid_request_error","param":null,"code":null}}'
            return self._plain(400, message)

    def control(self, target: bytes, body: bytes) -> bytes:
        known: dict[str, Any] = {}
        match target:
            case b"/control/calls":
                known = vars(self.counts)
            case b"/control/bodies":
                texts = [body.decode("utf-8", "replace") for body in self.bodies]
                headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.headers}
                known = {"bodies": texts, "paths": list(self.paths), "sha256": list(self.digests), "headers": headers}
            case b"/control/mode":
                try:
                    self.mode = Mode(**json.loads(body))  # orjson refuses lone surrogates
                except (TypeError, ValueError) as error:
                    return _reply(PLAIN, 400, orjson.dumps({"refused": str(error)}))
            case b"/control/reset":
                self.reset()
            case _:
                self.counts.strays += 1
                return _reply(PLAIN, 404, b"{}")
        return _reply(PLAIN, 200, orjson.dumps(known))

    def _answer(self, target: bytes, asked: dict[str, Any]) -> Call | bytes:
        mode = self.mode
        usage, number = mode.mode != "no_usage", self.counts.calls
        if mode.script_of_agent:
            asked[SCRIPT] = mode.script_of_agent
        if asked.get("stream") and target in STREAMS and mode.body is None:
            return self._stream(STREAMS[target](asked, number, mode.wanted_chunks, usage))
        return self._plain(200, DOCUMENTS[target](asked, number, mode.wanted_chunks, usage))

    def _plain(self, status: int, body: bytes, *more: str) -> Call | bytes:
        reply = _reply(self.mode, status, body, *more)
        if self.mode.mode == "truncate":
            return self._act(reply[:-10], ending="close")
        return self._act(reply) if self.mode.delay else reply

    def _act(self, first: bytes = b"", then: Iterable[tuple[float, bytes]] = (), ending: Ending = "keep") -> Call:
        return Call(chain([(self.mode.delay, first)], then), self.counts, ending)

    def _stream(self, events: Events) -> Call:
        """Each event is one HTTP chunk; events without a pause between them are written together."""
        mode = self.mode
        content = events.content[: mode.number]
        tails: dict[str, list[bytes]] = {
            "stall": [],
            "cut": [],
            "error_event": [events.error(len(events.opening) + len(content))],
            "garbage_event": [b"data: not json\n\n"],
            "no_done": events.closing,
        }
        timed = [event for event in [*content, *tails.get(mode.kind, [*events.closing, events.end])] if event]
        pauses = chain([mode.first], repeat(mode.interval))
        head = mode.head(200, "text/event-stream; charset=utf-8") + b"Transfer-Encoding: chunked\r\n\r\n"
        opening = [(mode.delay, b"".join([head, *map(_framed, events.opening)]))]
        steps = chain(opening, zip(pauses, map(_framed, timed), strict=False))
        endings: dict[str, Ending] = {"stall": "silence", "cut": "close", "huge_event": "close", "truncate": "close"}
        match mode.kind:
            case "stall" | "cut":
                writes = _merged(steps)
            case "huge_event":
                writes = chain(opening, [(0.0, _framed(b'data: {"huge":"'))], self._huge(HUGE_EVENT_BYTES, _framed(b"x" * PIECE)))
            case "truncate":
                *whole, (pause, last) = _merged(steps)
                writes = iter([*whole, (pause, last[:-5])])
            case _:
                writes = _merged(chain(steps, [(0.0, b"0\r\n\r\n")]))
        return Call(writes, self.counts, endings.get(mode.kind, "keep"), streamed=True)

    def _huge(self, size: int, piece: bytes) -> Writes:
        counts = self.counts
        for _ in range(size // PIECE):
            counts.huge_bytes += PIECE
            yield 0.0, piece


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _merged(steps: Iterable[tuple[float, bytes]]) -> Writes:
    """Join writes without a pause between them, up to about PIECE bytes."""
    due, block, size = 0.0, list[bytes](), 0
    for pause, data in steps:
        if block and (pause or size >= PIECE):
            yield due, b"".join(block)
            due, block, size = pause, [], 0
        elif not block:
            due = pause
        block.append(data)
        size += len(data)
    if block:
        yield due, b"".join(block)


def _reply(mode: Mode, status: int, body: bytes, *more: str) -> bytes:
    head = mode.plain_head if status == 200 else mode.head(status, "application/json", *more)
    body = body if mode.body is None else mode.body.encode("utf-8", "surrogateescape")
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
