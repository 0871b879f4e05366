"""The errors that only HTTP knows: branches of the tree in app/errors.py."""

from __future__ import annotations

from ..errors import InvalidInput, InvalidParameter, Unavailable
from ..security.token_errors import TokenError


class MalformedHttp(InvalidInput):
    code = "malformed_http"
    detail = "This is not a request of HTTP/1.1 (RFC 9112)."


class RequestTimeout(InvalidInput):
    code = "request_timeout"
    detail = "The request took too long to arrive."


class TooManyConnections(Unavailable):
    code = "too_many_connections"
    detail = "The service has as many connections as it can serve; try again later."


class MethodNotAllowed(InvalidInput):
    code = "method_not_allowed"
    detail = "This address does not take that method; the Allow header names those it takes."


class CrossOriginRefused(InvalidInput):
    code = "cross_origin_refused"
    detail = "A script of that origin may not send this. CORS_ORIGINS lists the origins whose scripts may."


class UnsupportedMediaType(InvalidInput):
    code = "unsupported_media_type"
    detail = "Send the body as application/json."


class UnsupportedCoding(UnsupportedMediaType):
    """The answer names the codings that are known (RFC 9110, section 15.5.16)."""

    detail = "Send the body as it is, or compressed once, by gzip or zstd."


class InvalidTimeout(InvalidParameter):
    code = "invalid_timeout"

    def __init__(self, header: str) -> None:
        super().__init__(header, "takes seconds above 0, such as 30 or 2.5, and is sent once.", reason=self.code)


class MalformedBody(InvalidInput):
    code = "malformed_body"
    detail = "The body is not what its Content-Encoding says."


class MalformedJson(InvalidInput):
    code = "malformed_json"
    detail = "The body is not one JSON document in UTF-8 (RFC 8259)."


class TooLarge(InvalidInput):
    code = "too_large"
    detail = "The body is larger than this endpoint takes."


class HeadTooLarge(TooLarge):
    """The request line and the headers, not the body: a status of its own (RFC 6585, section 5)."""

    status = 431
    detail = "The request's head is too large."


class TokenMissing(TokenError):
    """No Authorization header was sent, and no x-api-key."""

    code = "token_missing"
    detail = "Send an API key or an access token: Authorization: Bearer <key or token>. POST /token issues tokens."
