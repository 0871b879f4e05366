"""What LangChain and the SDKs beneath it raise, as our errors. Nothing of their text is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from socket import gaierror
from traceback import extract_tb
from typing import Any, NamedTuple

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from ...errors import AppError, UpstreamUnavailable
from ...kit.foreign_json import dumps
from ..attempts import Try
from ..errors import (
    DEFAULT_RETRY_AFTER,
    ContextLengthExceeded,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamRefused,
    error_of_document,
    error_of_status,
    log_upstream,
    unusable,
)
from .vendors import package_of

LOG = logging.getLogger("app.upstream")
MAX_CAUSES = 8
MAX_FRAMES = 8


def _unavailable() -> AppError:
    return UpstreamUnavailable(retry_after=DEFAULT_RETRY_AFTER)


KINDS: Mapping[type[ModelError], Callable[[], AppError]] = {
    ContextOverflowError: ContextLengthExceeded,
    ModelAuthenticationError: UpstreamDenied,
    ModelPermissionDeniedError: UpstreamDenied,
    ModelInvalidRequestError: lambda: UpstreamRefused(400),
    ModelNotFoundError: lambda: UpstreamRefused(404),
    ModelRateLimitError: UpstreamBusy,
    ModelAPIError: _unavailable,
    ModelConnectionError: _unavailable,
    ModelTimeoutError: _unavailable,
}
"""LangChain's own kinds, where the server's answer is not known."""


OF_CONNECTION = frozenset(
    {("httpx", "TransportError"), ("httpx2", "TransportError"), ("urllib3", "ProtocolError"), ("urllib3", "TimeoutError")}
    | {("botocore", "HTTPClientError"), ("aiohttp", "ClientConnectionError"), ("aiohttp", "ClientPayloadError")}
)
"""Raised where a connection fails: the package, and the class that its own are derived from."""


class Told(NamedTuple):
    """What a server answered. *raw*: its error as JSON, or nothing."""

    status: int
    raw: bytes
    retry_after: str | None


def error_of(error: Exception, sent: bytes, now: Try) -> AppError:
    """The error that the caller sees; logs it. *sent*: our body.

    *now* learns what the server said, and whether it was reached. If its `is_sent` is False, the
    request was not even converted.
    """
    if isinstance(error, AppError):
        return error
    name, causes, was_sent = type(error).__name__, list(_causes(error)), now.is_sent
    told = next(filter(None, map(_told, causes)), None)
    if told is not None:
        now.status, now.retry_after = told.status, told.retry_after or ""
    elif any(map(_was_not_reached, causes)):
        now.is_sent = False
    if told is not None and not isinstance(error, ContextOverflowError):
        if told.status < 300:  # the error came in a stream that had begun
            return error_of_document(told.raw, f"error by {name}")
        log_upstream(f"status {told.status}", told.raw, sent)
        return error_of_status(told.status, told.raw, told.retry_after, sent)
    made = next((make() for kind, make in KINDS.items() if isinstance(error, kind)), None)
    if made is None and any(map(_is_of_connection, causes)):
        made = _unavailable()
    if made is None:
        _log_place(error, name)
    if made is None and not was_sent:
        made = UpstreamRefused(400)
    if made is None:
        return unusable(b"", f"answer that LangChain does not read ({name})")
    log_upstream(f"error by {name}", b"", sent)
    return made


def _log_place(error: BaseException, name: str) -> None:
    """Of what may be our own fault: lines of code only, as an error's text may quote a question."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
    LOG.error("%s in LangChain, or on the way to it, at %s", name, " > ".join(frames[-MAX_FRAMES:]))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(MAX_CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _was_not_reached(error: BaseException) -> bool:
    is_named = any(kind.__name__ in ("ConnectError", "ConnectTimeout") for kind in type(error).__mro__)
    return is_named or isinstance(error, ConnectionRefusedError | gaierror)


def _is_of_connection(error: BaseException) -> bool:
    """By a library's own errors: other packages derive theirs for answers that are no stream."""
    package = package_of(type(error))
    kinds = {(package_of(kind), kind.__name__) for kind in type(error).__mro__}
    return isinstance(error, OSError) or any(of == package for of, _ in kinds & OF_CONNECTION)


def _told(error: BaseException) -> Told | None:
    """Of errors that carry an answer, as those of httpx, Google and botocore do."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        metadata = response.get("ResponseMetadata", {})
        return _of(metadata.get("HTTPStatusCode"), response.get("Error"), metadata.get("HTTPHeaders"))
    statuses = [getattr(error, "status_code", None), getattr(error, "code", None), getattr(response, "status_code", None)]
    bodies = [getattr(error, "body", None), getattr(error, "details", None), _content(response)]
    status = next((one for one in statuses if type(one) is int), None)
    return _of(status, next((one for one in bodies if isinstance(one, dict | bytes)), None), getattr(response, "headers", None))


def _content(response: Any) -> Any:
    try:
        return getattr(response, "content", None)
    except Exception:  # noqa: BLE001 - a body that was not read; each SDK has an error of its own for it
        return None


def _of(status: object, body: object, headers: Any) -> Told | None:
    if type(status) is not int or not 100 <= status < 600:
        return None
    raw = dumps(body) if isinstance(body, dict) else body if isinstance(body, bytes) else b""
    retry_after = headers.get("retry-after") if isinstance(headers, Mapping) else None
    return Told(status, raw, retry_after)
