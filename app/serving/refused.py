"""The answer to what is refused before it is a request: made without the application."""

from __future__ import annotations

import secrets
from http import HTTPStatus

import orjson

from ..api.context import error_style_of
from ..api.error_bodies import body_of, status_of
from ..api.middleware import SECURITY_HEADERS
from ..errors import AppError


def refusal(error: AppError, path: str = "") -> bytes:
    """The whole answer. It ends the connection."""
    style, request_id = error_style_of({"path": path}), secrets.token_hex(16)
    status = status_of(style, error)
    body = orjson.dumps(body_of(style, error, status, request_id))
    headers = [
        (b"content-type", b"application/problem+json" if style == "problem" else b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        *SECURITY_HEADERS,
        *([(b"retry-after", b"2")] if status == 503 else []),
    ]
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return line + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n" + body
