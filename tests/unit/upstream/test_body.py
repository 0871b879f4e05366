"""The body of an answer: hashed as it was sent, of what came if it was cut, and decoded within bounds; over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from app.catalogue.models import Server
from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream.answer_memory import FREE_BYTES, AnswerMemory
from app.upstream.attempts import Attempts
from app.upstream.client import Upstream
from app.upstream.completion import Reply
from app.upstream.fair_slots import FairSlots
from app.upstream.protocol.chat import CHAT

from ...support.codings import zstd
from ...support.raw_server import Answer, End, RawServer, Request, chat, chunk, head, whole

LIMIT = 1_000_000
ANSWER = chat("four")


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("Content-Encoding: gzip", gzip.compress),
    ("Content-Encoding: x-gzip", gzip.compress),
    ("Content-Encoding: zstd", zstd.compress),
    ("Content-Encoding: deflate", zlib.compress),
    ("Content-Encoding: Deflate", bare_deflate),
    ("X-Label: forgotten", gzip.compress),
    ("Content-Encoding: br", gzip.compress),  # a wrong label
    ("Content-Encoding: gzip", bytes),  # decoded on the way, the label kept
    ("Content-Encoding: identity", bytes),
    ("Content-Encoding: utf-8", bytes),
    ("Content-Encoding: gzip", lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:])),
]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def ask(*steps: Any, timeout: float = 20) -> tuple[Reply | BaseException, Attempts]:
    """What one question comes to that is answered in *steps*, and what is known of it."""
    return ask_for(lambda _: steps, timeout)


def ask_for(answer: Callable[[Request], Answer], timeout: float = 20) -> tuple[Reply | BaseException, Attempts]:
    attempts = Attempts()

    async def main(base_url: str) -> Reply | BaseException:
        upstream = Upstream(Server("fake", base_url, ""), max_response_bytes=LIMIT)
        try:
            async with asyncio.timeout(timeout):
                return await upstream.complete(CHAT, b"{}", "m", attempts=attempts)
        except (UpstreamError, TimeoutError) as error:
            return error
        finally:
            await upstream.aclose()

    with RawServer(answer) as server:
        return asyncio.run(main(server.base_url)), attempts


@pytest.mark.parametrize(("label", "encode"), CODED)
@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "byte by byte"])
def test_a_coded_answer_is_decoded_and_its_digest_is_of_the_bytes_sent(
    label: str, encode: Callable[[bytes], bytes], is_slow: bool
) -> None:
    sent = encode(ANSWER)
    if is_slow:
        pieces = [step for byte in sent for step in (chunk(bytes([byte])), 0.0005)]
        reply, attempts = ask(head(label, "Transfer-Encoding: chunked"), *pieces, chunk(b""))
    else:
        reply, attempts = ask(whole(sent, label))
    assert isinstance(reply, Reply)
    assert (reply.raw, reply.completion.text) == (ANSWER, "four")
    assert attempts.response_sha256 == sha256(sent)
    assert (attempts.now.whole is None) == (sent != ANSWER)


@pytest.mark.parametrize("encode", [gzip.compress, zstd.compress])
@pytest.mark.slow
def test_a_small_body_does_not_unfold_past_the_limit(encode: Callable[[bytes], bytes]) -> None:
    fits, bomb = chat("x" * (LIMIT - len(chat("")))), encode(b" " * 200_000_000)
    assert isinstance(ask(whole(encode(fits)))[0], Reply)
    assert type(ask(whole(encode(fits + b" ")))[0]) is UpstreamError
    error, attempts = ask(whole(bomb))
    assert type(error) is UpstreamError
    assert attempts.response_sha256 == sha256(bomb)


def test_what_does_not_unfold_is_bounded_too() -> None:
    """A file's name in the head of gzip may be of any length."""
    packed = gzip.compress(ANSWER, mtime=0)
    for length, kind in ((1_000, Reply), (LIMIT, UpstreamError)):
        sent = packed[:3] + b"\x08" + packed[4:10] + b"n" * length + b"\0" + packed[10:]
        assert type(ask(whole(sent))[0]) is kind


@pytest.mark.parametrize(
    "sent", [gzip.compress(ANSWER)[:-3], gzip.compress(ANSWER) + b"\x1f\x8b", b"\x1f\x8bnot gzip", b"\x1f", b"\x28"]
)
def test_a_body_that_is_not_what_it_began_as_is_no_answer(sent: bytes) -> None:
    error, attempts = ask(whole(sent))
    assert type(error) is UpstreamError
    assert attempts.response_sha256 == sha256(sent)


BROTLI = b"\x0b\x02\x80hello\x03"
MONEY = b'{"error": {"code": "insufficient_quota"}}'


@pytest.mark.parametrize(
    ("label", "sent", "said"),
    [
        ("br", BROTLI, "compressed its answer (br), "),
        ("gzip, br", BROTLI, "compressed its answer (gzip, br), "),
        ("<b>x</b>", BROTLI, "compressed its answer (unknown), "),
        ("br", b"{}", "compressed its answer (br), "),
        ("gzip", b"{}", "something that cannot be used"),
        ("br", MONEY, "until its bill is paid"),
    ],
)
def test_a_coding_that_is_not_read_is_named(label: str, sent: bytes, said: str) -> None:
    error, attempts = ask(whole(sent, f"Content-Encoding: {label}"))
    assert said in str(error)
    assert attempts.response_sha256 == sha256(sent)


CUT = [
    ([head("Content-Length: 1000"), ANSWER, End.CLOSE], ANSWER),
    ([head("Content-Length: 1000") + ANSWER, End.CLOSE], ANSWER),  # head, body and end together
    ([head("Content-Length: 1000"), ANSWER[:20], 0.1, ANSWER[20:], 0.1, End.RESET], ANSWER),
    ([head("Transfer-Encoding: chunked"), chunk(ANSWER), End.CLOSE], ANSWER),
    ([head("Content-Length: 5"), End.CLOSE], b""),
]


@pytest.mark.parametrize(("steps", "came"), CUT)
@pytest.mark.parametrize("status", ["200 OK", "503 Busy"])
@pytest.mark.slow
def test_of_a_body_that_is_cut_the_digest_is_of_what_came(steps: list[Any], came: bytes, status: str) -> None:
    first = steps[0].replace(b"200 OK", status.encode(), 1)
    for _ in range(5):  # the end may come with the last bytes, or after them
        error, attempts = ask(first, *steps[1:])
        assert type(error) is UpstreamUnavailable
        assert attempts.response_sha256 == sha256(came)


@pytest.mark.slow
def test_of_a_body_that_does_not_end_in_time_the_digest_is_of_what_came() -> None:
    error, attempts = ask(head("Content-Length: 1000"), ANSWER, 30.0, timeout=0.5)
    assert isinstance(error, TimeoutError)
    assert attempts.response_sha256 == sha256(ANSWER)


def test_without_an_answer_there_is_no_digest_and_an_empty_one_has_its_own() -> None:
    assert ask(End.CLOSE)[1].response_sha256 is None
    assert ask(30.0, timeout=0.3)[1].response_sha256 is None
    assert ask(b"HTTP/1.1 200 OK\r\nContent-Le", End.CLOSE)[1].response_sha256 is None
    assert ask(whole(b"", status="500 Oh"))[1].response_sha256 == sha256(b"")


@pytest.mark.parametrize("status", ["400 No", "500 Oh", "302 Found"])
def test_the_body_of_an_error_counts_too(status: str) -> None:
    told = b'{"error": {"message": "no"}}'
    for sent in (told, gzip.compress(told)):
        error, attempts = ask(whole(sent, status=status))
        assert isinstance(error, UpstreamError)
        assert attempts.response_sha256 == sha256(sent)


def test_of_a_long_error_only_the_beginning_is_read() -> None:
    written = []

    def pieces() -> Answer:
        yield head("Content-Length: 50000000", status="500 Oh")
        for _ in range(1_000):
            written.append(50_000)
            yield b"x" * 50_000

    error, attempts = ask_for(lambda _: pieces())
    assert type(error) is UpstreamUnavailable
    assert attempts.response_sha256 not in (None, sha256(b""))
    assert sum(written) < 20_000_000  # what the sockets' buffers took


@pytest.mark.parametrize("rest", [b"\0", b"\0" * 700, b"\n", b"garbage", b"\x1f", b"\x1fx", gzip.compress(b"", mtime=0)])
@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "byte by byte"])
def test_what_follows_a_coded_answer_is_ignored(rest: bytes, is_slow: bool) -> None:
    for encode in (gzip.compress, zlib.compress):
        sent = encode(ANSWER) + rest
        steps = [sent[at : at + 1] for at in range(len(sent))] if is_slow else [sent]
        reply, attempts = ask(head(f"Content-Length: {len(sent)}", "Content-Encoding: deflate"), *steps)
        assert isinstance(reply, Reply), reply
        assert (reply.raw, attempts.response_sha256) == (ANSWER, sha256(sent))


@pytest.mark.parametrize(
    ("coding", "label", "text"),
    [
        ("latin-1", "application/json; charset=iso-8859-1", "café"),
        ("cp1252", 'application/json; Charset="Windows-1252"', "café"),
        ("gbk", "text/plain;charset=gbk", "日本"),
        ("utf-16", "application/json", "café 日本"),
        ("utf-16-le", "application/json", "café 日本"),
        ("utf-32", "application/json", "café 日本"),
        ("utf-8", "application/json; charset=iso-8859-1", "café 日本"),  # a wrong label
        ("latin-1", "application/json", "caf\ufffd"),
        ("latin-1", "application/json; charset=punycode", "caf\ufffd"),
        ("latin-1", "application/json; charset=utf_no", "caf\ufffd"),
    ],
)
def test_an_answer_in_another_charset_is_passed_on_in_utf_8(coding: str, label: str, text: str) -> None:
    told = chat(text).decode()
    sent = told.replace("\ufffd", "é").encode(coding)
    reply, attempts = ask(whole(sent, kind=label))
    assert isinstance(reply, Reply), reply
    assert (reply.completion.text, reply.raw.decode()) == (text, told)
    assert attempts.response_sha256 == sha256(sent)


@pytest.mark.parametrize(("is_declared", "taken"), [(True, None), (False, LIMIT)], ids=["Content-Length", "chunks"])
def test_a_large_answer_is_read_once_there_is_memory_for_it(is_declared: bool, taken: int | None) -> None:
    """And takes what it may become, until that is known."""
    answer = chat("x" * 2 * FREE_BYTES)
    steps = (
        [whole(answer)]
        if is_declared
        else [head("Transfer-Encoding: chunked"), chunk(answer[:FREE_BYTES]), chunk(answer[FREE_BYTES:]), chunk(b"")]
    )

    async def main(base_url: str) -> None:
        upstream, room = Upstream(Server("fake", base_url, ""), max_response_bytes=LIMIT), FairSlots(2 * LIMIT)
        memory = AnswerMemory()
        memory.of(room, "alice")
        await room.take("alice", LIMIT)
        asking = asyncio.create_task(upstream.complete(CHAT, b"{}", "m", memory=memory))
        while not room._waiting:
            await asyncio.sleep(0.01)
        assert room._waiting["alice"][0].wanted == (taken or len(answer))
        room.give_back("alice", LIMIT)
        assert (await asking).raw == answer
        assert memory.count == len(answer)
        await upstream.aclose()

    with RawServer(lambda _: steps) as server:
        asyncio.run(asyncio.wait_for(main(server.base_url), 30))
