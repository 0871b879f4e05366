"""Answers of a model's server that keep who reads them busy: the most work in the fewest bytes, at every protocol."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat

from ..support.raw_server import Answer, chunk, head, whole

MB = 1_000_000
STEP = 64 * 1024
CHAT, BEGIN, END = (
    "chat/completions",
    b'{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"',
    b'"}}]',
)
EVENTS = "text/event-stream"
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def beside(piece: bytes, size: int) -> Callable[[float], bytes]:
    """A chat completion with a further member: a list of *piece*, again and again, in *size* bytes."""
    return lambda share: BEGIN + b"4" + END + b',"x":[' + b",".join([piece] * int(size * share / (len(piece) + 1))) + b"]}"


def text(piece: bytes, size: int) -> Callable[[float], bytes]:
    return lambda share: BEGIN + piece * int(size * share / len(piece)) + END + b"}"


def filled(before: bytes, piece: bytes, after: bytes, size: int) -> Callable[[float], bytes]:
    return lambda share: before + piece * int(size * share / len(piece)) + after


def numbered(before: bytes, piece: bytes, after: bytes, size: int) -> Callable[[float], bytes]:
    """*piece* with %d in it, each with another number."""
    return lambda share: before + b"".join(piece % number for number in range(int(size * share / (len(piece) + 4)))) + after


def delta(members: bytes) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{%b}}]}\n\n' % members


def large_event(before: bytes, piece: bytes, after: bytes) -> Callable[[float], bytes]:
    """Events of 3.9 MB each, or of as many pieces as may be."""
    one = b"data: " + before + piece * min(3_900_000 // len(piece), 99_000) + after + b"\n\n"
    return lambda share: one * max(1, int(15 * share)) + STOP


@dataclass(frozen=True)
class Shape:
    name: str
    body: Callable[[float], bytes]
    """A share of the long one: the short form sends less."""
    path: str = CHAT
    is_stream: bool = False
    headers: tuple[str, ...] = ()
    framing: str = "length"
    """Or `chunks` of one byte each; `heads`: *body* is sent in place of an answer, for ever."""


def _stream(name: str, body: Callable[[float], bytes], path: str = CHAT) -> Shape:
    return Shape(name, body, path, is_stream=True)


def _zeros(size: int) -> Callable[[float], bytes]:
    return lambda share: gzip.compress(beside(b"0", int(size))(share))


CALL = b'{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}'
SHAPES = (
    Shape("31 MB of []", beside(b"[]", 31 * MB)),
    Shape("31 MB of {}", beside(b"{}", 31 * MB)),
    Shape("31 MB of newlines", filled(b"", b"\n", BEGIN + b"4" + END + b"}", 31 * MB)),
    Shape("as many [] as may be", beside(b"[]", 740_000)),
    Shape("as many objects as may be", beside(b'{"a":1}', 1_990_000)),
    Shape("members that repeat", beside(b'{"a":1,"a":2}', 2_700_000)),
    Shape("floats", beside(b"1e99", 15 * MB)),
    Shape("embeddings", filled(b'{"data":[{"embedding":[0', b",-0.012345678", b"]}]}", 31 * MB), "embeddings"),
    Shape("4 MB of 4,300 digits", beside(b"9" * 4300, 4 * MB)),
    Shape("31 MB of 4,300 digits", beside(b"9" * 4300, 31 * MB)),
    Shape("31 MB of one number", beside(b"9" * (31 * MB), 31 * MB + 1)),
    Shape("31 MB of text", text(b"x", 31 * MB)),
    Shape("escapes", text(b"\\n", 31 * MB)),
    Shape("lone surrogates", text(b"\\ud83d", 31 * MB)),
    Shape("4 MB of lone surrogates", text(b"\\ud83d", 4 * MB)),
    Shape("31 MB of depth", filled(b"", b"[", b"", 31 * MB)),
    Shape("choices", filled(b'{"choices":[{"message":{}}', b',{"message":{}}', b"]}", 1_800_000)),
    Shape("tool calls", filled(BEGIN + b'","tool_calls":[' + CALL, b"," + CALL, b"]}}]}", 4_900_000)),
    Shape("responses", filled(b'{"output":[{}', b',{"type":"message","content":[]}', b"]}", 3_900_000), "responses"),
    Shape(
        "messages", filled(b'{"content":[{"type":"text","text":""}', b',{"type":"text","text":""}', b"]}", 5_100_000), "messages"
    ),
    Shape("gzip of 31 MB", _zeros(31 * MB), headers=("Content-Encoding: gzip",)),
    Shape("gzip of nothing, again and again", filled(b"", gzip.compress(b""), b"", 20 * MB), headers=("Content-Encoding: gzip",)),
    Shape("chunks of one byte", text(b"x", 8 * MB), framing="chunks"),
    _stream("63 MB of newlines", filled(b"", b"\n", STOP, 63 * MB)),
    _stream("comments", filled(b"", b":\n\n", STOP, 63 * MB)),
    _stream("comment lines of one event", filled(b"", b":\n", STOP, 63 * MB)),
    _stream("data lines of one event", filled(b"", b"data\n", STOP, 63 * MB)),
    _stream("empty events", filled(b"", b"data:\n\n", STOP, 63 * MB)),
    _stream("events of {}", filled(b"", b"data:{}\n\n", STOP, 63 * MB)),
    _stream("pings", filled(b"", b"event: ping\ndata: {}\n\n", STOP, 63 * MB)),
    _stream("deltas of a byte", filled(b"", delta(b'"content":"x"'), STOP, 40 * MB)),
    _stream("pieces of a name", filled(b"", delta(b'"name":"x"'), STOP, 40 * MB)),
    _stream("deltas that do not add up", filled(b"", delta(b'"a":1') + delta(b'"a":2'), STOP, 40 * MB)),
    _stream("other members", numbered(b"", delta(b'"a%d":""'), STOP, 40 * MB)),
    _stream("members of chunks", numbered(b"", b'data: {"choices":[],"x%d":"a"}\n\n', STOP, 40 * MB)),
    _stream("values of one member", numbered(b"", b'data: {"choices":[],"x":"%d"}\n\n', STOP, 40 * MB)),
    _stream("tool calls of one event", large_event(b'{"choices":[{"index":0,"delta":{"tool_calls":[{}', b",{}", b"]}}]}")),
    _stream("ids of one event", large_event(b'{"choices":[{"delta":{"x":[{}', b',{"id":"a","index":0}', b"]}}]}")),
    _stream("lists of one event", large_event(b'{"choices":[{"delta":{"x":[0', b",[]", b"]}}]}")),
    _stream("many indexes", numbered(b'data: {"choices":[{"delta":{"x":[{}', b',{"index":%d}', b"]}}]}\n\n" + STOP, 3 * MB)),
    _stream(
        "many members of one event", numbered(b'data: {"choices":[{"delta":{"x":1', b',"a%d":""', b"}}]}\n\n" + STOP, 3 * MB)
    ),
    _stream("members of one event that repeat", large_event(b'{"choices":[],"x":[{}', b',{"a":1,"a":2}', b"]}")),
    _stream("digits of one event", large_event(b'{"choices":[],"x":[1', b"," + b"9" * 4300, b"]}")),
    _stream("surrogates of one event", large_event(b'{"choices":[{"delta":{"content":"', b"\\ud83d", b'"}}]}')),
    _stream("depth of one event", large_event(b"", b"[", b"")),
    _stream("blocks", filled(b"", b'data:{"type":"content_block_delta","delta":{"a":1}}\n\n', b"", 40 * MB), "messages"),
    _stream(
        "counts", numbered(b"", b'data:{"type":"message_start","message":{"usage":{"a%d":1}}}\n\n', b"", 40 * MB), "messages"
    ),
    _stream("places", numbered(b"", b'data:{"type":"response.a","output_index":%d,"delta":"x"}\n\n', b"", 40 * MB), "responses"),
    _stream("names alike", numbered(b"", b'data:{"type":"a b%d","delta":"x"}\n\n', b"", 40 * MB), "responses"),
    _stream("raw events", filled(b"", b'data:{"type":"a","type":"b","delta":"x"}\n\n', b"", 40 * MB), "responses"),
    _stream("completions", filled(b"", b'data:{"choices":[{"text":"x"}]}\n\n', STOP, 40 * MB), "completions"),
    Shape("a stream in chunks of one byte", filled(b"", delta(b'"content":"x"'), STOP, 8 * MB), is_stream=True, framing="chunks"),
    Shape("a gzip of newlines", lambda share: gzip.compress(b"\n" * int(63 * MB * share) + STOP), is_stream=True),
    Shape("answers of status 100", lambda share: b"HTTP/1.1 100 \r\n\r\n", framing="heads"),
    Shape("headers without end", lambda share: b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000, framing="heads"),
    Shape(
        "trailers without end",
        lambda share: head("Transfer-Encoding: chunked") + b"0\r\n" + b"a: b\r\n" * 100_000,
        framing="heads",
    ),
    Shape("an extension without end", lambda share: head("Transfer-Encoding: chunked") + b"1" + b";a" * 500_000, framing="heads"),
)


def sent_for(shape: Shape, body: bytes) -> Answer:
    """The bytes of one answer, in steps: a step of megabytes would be a pause of the server's own."""
    kind = EVENTS if shape.is_stream else "application/json"
    if shape.framing == "heads":
        return chain([body], repeat(body[body.rfind(b"\r\n\r\n", 0, 300) + 4 :][-600_000:] if len(body) > 1000 else body * 4096))
    if shape.framing == "chunks":
        chunks = b"".join(chunk(body[at : at + 1]) for at in range(len(body)))
        whole_answer = head("Transfer-Encoding: chunked", kind=kind) + chunks + chunk(b"")
    else:
        whole_answer = whole(body, *shape.headers, kind=kind)
    return [whole_answer[at : at + STEP] for at in range(0, len(whole_answer), STEP)]
