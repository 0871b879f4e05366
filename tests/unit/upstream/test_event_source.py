"""A stream is told by how it begins, whatever its label says; what is no stream is an error; over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from typing import Any

import pytest

from app.catalogue.models import Server
from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream.attempts import Attempts
from app.upstream.client import Upstream
from app.upstream.errors import ContextLengthExceeded, UpstreamOutOfQuota
from app.upstream.protocol.chat import CHAT

from ...support.codings import zstd
from ...support.raw_server import End, RawServer, chat, chunk, events, head, whole

LABELS = [
    "text/event-stream",
    "text/event-stream; charset=utf-8",
    "application/json",
    "text/plain",
    "application/octet-stream",
    None,
]
STREAM = events("fo", "ur")
OVERFLOW = b'{"error": {"code": "context_length_exceeded", "message": "no"}}'
CHUNKED = "Transfer-Encoding: chunked"


def ask(*steps: Any, late: float = 0.0) -> tuple[str | UpstreamError | None, Attempts]:
    """The text of a streamed answer, or the error. *late*: seconds to wait before it is read, and before it is closed."""
    attempts = Attempts()

    async def main(base_url: str) -> str | UpstreamError | None:
        upstream = Upstream(Server("fake", base_url, ""))
        reader = CHAT.reader("m", False)
        try:
            async with asyncio.timeout(20):
                source = await upstream.open_stream(CHAT, b"{}", attempts)
                await asyncio.sleep(late)
                try:
                    while not reader.is_over:
                        read = await source.read()
                        for event in read or ():
                            reader.feed(event)
                        if read is None:
                            reader.end()
                    await asyncio.sleep(late)
                finally:
                    source.close()
            return reader.completion().text
        except UpstreamError as error:
            return error
        finally:
            await upstream.aclose()

    with RawServer(lambda _: steps) as server:
        return asyncio.run(main(server.base_url)), attempts


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "before", [b"", b"\n\n", b"\xef\xbb\xbf", b": a comment\n\n", b"event: x\r\n\r\n", b"retry: 9\n\n", b"id\n\n"]
)
@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "byte by byte"])
def test_a_stream_is_read_whatever_its_label_says(label: str | None, before: bytes, is_slow: bool) -> None:
    slow = before + STREAM[:20] if is_slow else b""  # it is told by its first bytes
    pieces = [chunk(slow[at : at + 1]) for at in range(len(slow))] + [chunk((before + STREAM)[len(slow) :])]
    text, attempts = ask(head(CHUNKED, kind=label), *[step for piece in pieces for step in (piece, 0.0002)], chunk(b""))
    assert text == "four"
    assert attempts.count == 1


@pytest.mark.parametrize("label", LABELS)
def test_a_coding_that_is_not_read_is_named(label: str | None) -> None:
    coding = "Content-Encoding: br"
    assert "compressed its answer (br)" in str(ask(whole(b"\x0b\x02\x80hello\x03", coding, kind=label))[0])
    assert ask(whole(STREAM, coding, kind=label))[0] == "four"


@pytest.mark.parametrize("encode", [gzip.compress, zstd.compress])
def test_a_coded_stream_is_decoded_and_its_digest_is_of_the_bytes_sent(encode: Any) -> None:
    sent = encode(STREAM)
    for label in ("text/event-stream", "text/plain"):
        text, attempts = ask(head(CHUNKED, kind=label), chunk(sent[:30]), 0.05, chunk(sent[30:]), chunk(b""))
        assert text == "four"
        assert attempts.response_sha256 == hashlib.sha256(sent).hexdigest()


@pytest.mark.parametrize("label", LABELS)
def test_an_error_document_is_the_error_that_it_says(label: str | None) -> None:
    for document, kind in [
        (OVERFLOW, ContextLengthExceeded),
        (b' [{"error": {"code": 429, "message": "later"}}]', UpstreamUnavailable),
        (b'{"error": "insufficient balance"}', UpstreamOutOfQuota),
        (b'{"error": {"message": "a planted text"}}', UpstreamError),
    ]:
        for steps in (
            [whole(document, kind=label)],
            [head(CHUNKED, kind=label), chunk(document[:9]), 0.02, chunk(document[9:]), chunk(b"")],
        ):
            error, attempts = ask(*steps)
            assert type(error) is kind
            assert "planted" not in str(error)
            assert attempts.response_sha256 == hashlib.sha256(document).hexdigest()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "sent",
    [
        chat(),
        b"",
        b"\n",
        b"<html><body>data: x</body></html>",
        b"Internal Server Error",
        b"dat",
        b"database: x\n\n",
        b"{" * 200_000,
    ],
    ids=lambda sent: sent[:12].decode(),
)
def test_what_is_no_stream_is_no_answer(label: str | None, sent: bytes) -> None:
    """Also a plain answer: the events of a stream would have to be made up."""
    error, attempts = ask(whole(sent, kind=label))
    assert type(error) is UpstreamError
    assert attempts.response_sha256 is not None


@pytest.mark.slow
def test_what_arrived_before_a_cut_is_read_and_hashed() -> None:
    for end in End:
        for pause in (0.0, 0.1):
            for late in (0.0, 0.3):  # with the last bytes, or after them; read before the cut, or after it
                steps = [head(CHUNKED, kind="text/event-stream") + chunk(STREAM[:-20]), pause, end]
                error, attempts = ask(*steps, late=late)
                assert isinstance(error, UpstreamError)
                assert attempts.response_sha256 == hashlib.sha256(STREAM[:-20]).hexdigest()


@pytest.mark.slow
def test_an_end_that_arrived_before_a_cut_ends_the_answer() -> None:
    text, _ = ask(head(CHUNKED, kind="text/event-stream") + chunk(STREAM), 0.1, End.CLOSE, late=0.3)
    assert text == "four"


@pytest.mark.slow
def test_what_has_come_behind_the_end_of_the_answer_is_hashed_too() -> None:
    sent = STREAM + b": goodbye\n\n"
    begun = head(CHUNKED, kind="text/event-stream") + chunk(STREAM)
    for pause in (0.0, 0.45):
        text, attempts = ask(begun, pause, chunk(b": goodbye\n\n") + chunk(b""), late=0.3)
        assert text == "four"
        assert attempts.response_sha256 == hashlib.sha256(sent).hexdigest()


@pytest.mark.parametrize(
    ("charset", "coding", "text"),
    [("", "latin-1", "caf\ufffd"), ("; charset=iso-8859-1", "latin-1", "café"), ("; charset=iso-8859-1", "utf-8", "café")],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_stream_in_another_charset_is_passed_on_in_utf_8(charset: str, coding: str, text: str, size: int) -> None:
    sent = events("@", " au lait", "@").replace(b"@", "café".encode(coding))
    pieces = [chunk(sent[at : at + size]) for at in range(0, len(sent), size)]
    assert ask(head(CHUNKED, kind=f"text/event-stream{charset}"), *pieces, chunk(b""))[0] == f"{text} au lait{text}"
