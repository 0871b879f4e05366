"""The body of a request: read within its limits and parsed once, after the caller is proven."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Request

from ..assistant.disconnect import EXTENSION, Disconnected
from ..assistant.models import Question
from ..errors import ClientGone
from ..kit import strict_json
from ..kit.content_coding import CODINGS, Decoder, coding_of
from .asked_timeout import asked_timeout
from .context import change_context, declared_bytes, hold_of, media_type_of, request_context
from .dependencies import Asker
from .http_errors import MalformedBody, MalformedJson, TooLarge, UnsupportedCoding, UnsupportedMediaType
from .schemas import read_ask

MAX_ASK_BYTES = 256 * 1024
"""2,000 code points, each escaped as two \\uXXXX, are 24,000 bytes; the rest is for white space and
so that the parser, not this limit, judges the JSON test suite."""
LARGE_BYTES = 256 * 1024
"""From this size on a body is parsed in a thread, so that other requests are answered meanwhile."""
MAX_CONTAINERS = 200_000
"""A body of nothing but brackets would take this process seconds, in which other requests wait."""


@dataclass(frozen=True, slots=True)
class JsonBody:
    document: Any
    is_large: bool
    """Whether further work on it belongs in a thread."""


async def read_json(request: Request, limit: int) -> JsonBody:
    """(5) The body, read and parsed only now, of at most *limit* bytes.

    Raises UnsupportedMediaType, UnsupportedCoding, TooLarge, MalformedBody, MalformedJson,
    ClientGone.
    """
    if media_type_of(request) != "application/json":
        raise UnsupportedMediaType()
    body = await read_body(request, limit)
    is_large = len(body) >= LARGE_BYTES
    if is_large and body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise TooLarge(f"The body holds more than {MAX_CONTAINERS} lists and objects (or brackets in its texts).")
    try:
        document = await asyncio.to_thread(strict_json.parse, body) if is_large else strict_json.parse(body)
    except ValueError as error:
        verify_unpacked(request, body)
        raise MalformedJson(f"The body is not one JSON document: {error}.") from None
    return JsonBody(document, is_large)


async def asked_question(request: Request, _: Asker) -> Question:
    """The question of POST /ask. Raises the errors of `read_json`, and InvalidRequest."""
    timeout, origin = asked_timeout(request), request_context(request).origin
    body = await read_json(request, MAX_ASK_BYTES)
    return Question(read_ask(body.document).query, origin if timeout is None else replace(origin, timeout_seconds=timeout))


AskedQuestion = Annotated[Question, Depends(asked_question)]


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, decoded, at most *limit* bytes.

    Raises UnsupportedCoding, MalformedBody, TooLarge as early as possible, TooMuchInFlight,
    ClientGone.
    """
    if (declared_bytes(request) or 0) > limit:
        raise _too_large(limit)
    decoder, hold = _decoder_of(request), hold_of(request)
    pieces: list[bytes] = []
    received, size, has_more = 0, 0, True
    try:
        while has_more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone()
            piece, has_more = message.get("body", b""), message.get("more_body", False)
            received += len(piece)
            if received > limit:
                raise _too_large(limit)
            if decoder is None:
                hold.add(len(piece))
                pieces.append(piece)
                continue
            for part in decoder.feed(piece):
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                hold.add(len(part))
                pieces.append(part)
                await asyncio.sleep(0)  # each part is a millisecond's work: serve others between them
        if decoder is not None:
            decoder.finish()
    except ValueError as error:  # of the decoder
        raise MalformedBody(f"The body {error}: send it whole, or without Content-Encoding.") from None
    change_context(request, is_body_read=True)
    return b"".join(pieces)


def verify_unpacked(request: Request, body: bytes) -> None:
    """Raises MalformedBody for a *body* that is compressed although no header says so, or twice."""
    coding = coding_of(body)
    if coding and "content-encoding" in request.headers:
        raise MalformedBody("The body is compressed twice: compress it once.")
    if coding:
        raise MalformedBody(f"The body looks {coding}-compressed: send Content-Encoding: {coding} with it, or send it as it is.")


def _decoder_of(request: Request) -> Decoder | None:
    """None for a body that is sent as it is. Raises UnsupportedCoding."""
    if "content-encoding" not in request.headers:
        return None
    names = [name.strip().lower() for name in ",".join(request.headers.getlist("content-encoding")).split(",")]
    codings = ["gzip" if name == "x-gzip" else name for name in names if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in CODINGS:
        raise UnsupportedCoding()
    return Decoder(codings[0])


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {limit} bytes that this endpoint takes.")


@contextmanager
def disconnect_watch(request: Request) -> Iterator[Disconnected]:
    """A future that is done once the caller disconnects. Use it after the whole body was read."""
    offered = request.scope.get("extensions", {}).get(EXTENSION)
    if offered is not None:
        yield offered()
        return

    async def until_disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    disconnected = asyncio.create_task(until_disconnected())
    try:
        yield disconnected
    finally:
        disconnected.cancel()
