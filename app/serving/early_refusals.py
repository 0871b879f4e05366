"""Answers made without the application: to what is refused before it is a request."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import orjson

from ..api.context import error_style_of
from ..api.error_bodies import body_of, status_of
from ..api.middleware import SECURITY_HEADERS
from ..errors import AppError
from .http_answer import head_bytes
from .http_parser import Head


def refusal(error: AppError, head: Head | None = None, *, with_body: bool = True) -> bytes:
    """The whole answer, to the request with this *head* if there is one. It ends the connection."""
    asked = {"path": head.path, "headers": head.headers} if head else {"path": ""}
    style, request_id = error_style_of(asked), secrets.token_hex(16)
    status = status_of(style, error)
    kind = b"application/problem+json" if style == "problem" else b"application/json"
    more = [(b"connection", b"close"), *([(b"retry-after", b"2")] if status == 503 else [])]
    body = orjson.dumps(body_of(style, error, status, request_id))
    head_of_answer = answer_head(status, kind, len(body), request_id, more)
    return head_of_answer + body if with_body else head_of_answer


def answer_head(status: int, kind: bytes, length: int, request_id: str, more: Iterable[tuple[bytes, bytes]]) -> bytes:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(length).encode()),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        *SECURITY_HEADERS,
        *more,
    ]
    return head_bytes(status, headers)
