"""From what a server said, or a malformed answer, to our error and one line in the log."""

from __future__ import annotations

import logging

import pytest

from app.catalogue.models import ProtocolName
from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream.errors import (
    MALFORMED,
    Reading,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamOutOfQuota,
    UpstreamRefused,
    error_of_document,
    error_of_status,
    is_not_served,
)

from ...support.tables import for_each


@pytest.mark.parametrize("kind", MALFORMED)
def test_whatever_reading_a_malformed_answer_raises_is_one_logged_error(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(UpstreamError) as caught, Reading(b"a planted answer", "odd thing"):
        raise kind
    assert type(caught.value) is UpstreamError
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("app.assistant", "WARNING")
    assert record.getMessage().startswith("upstream odd thing: (16 bytes, sha256 ")
    assert "planted" not in record.getMessage()


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError, KeyboardInterrupt, TimeoutError])
def test_other_errors_pass_through(kind: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(kind), Reading(b""):
        raise kind
    assert caplog.records == []


STATUSES = [
    *[(status, UpstreamRefused) for status in (400, 404, 405, 406, 409, 410, 413, 415, 418, 422, 424, 451, 499)],
    *[(status, UpstreamDenied) for status in (301, 302, 307, 401, 403, 407)],
    *[(status, UpstreamUnavailable) for status in (408, 425, 429, 500, 502, 503, 529)],
    (402, UpstreamOutOfQuota),
]


@for_each(("status", "kind"), STATUSES)
def test_each_status_has_its_error(status: int, kind: type[UpstreamError]) -> None:
    assert type(error_of_status(status, b"", None)) is kind


@pytest.mark.parametrize(
    ("raw", "served"),
    [
        (b"404 page not found", []),
        (b'{"detail": "Not Found"}', []),
        (b'{"error": {"message": "model m not found", "code": null}}', ["openai"]),
        (b'{"error": "model m not found"}', ["openai"]),
        (b'{"object": "error", "message": "The model m does not exist.", "code": 404}', ["openai"]),
        (b'{"type": "error", "error": {"type": "not_found_error", "message": "model: m"}}', ["anthropic"]),
    ],
)
def test_a_404_in_the_form_of_a_protocol_says_that_it_is_served(raw: bytes, served: list[ProtocolName]) -> None:
    protocols: tuple[ProtocolName, ...] = ("openai", "anthropic")
    assert [protocol for protocol in protocols if not is_not_served(protocol, raw)] == served


def test_of_the_servers_text_only_plain_words_are_kept() -> None:
    raw = b'{"error": {"code": "context_length_exceeded", "param": "messages[0]", "message": "secret"}}'
    error = error_of_status(400, raw, None, b'{"messages":[]}')
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.reason, error.param) == (400, "context_length_exceeded", "messages[0]")
    odd = error_of_status(400, b'{"error": {"code": "Your key sk-1", "param": {"x": 1}}}', None)
    assert isinstance(odd, UpstreamRefused)
    assert (odd.reason, odd.param) == (None, None)


@pytest.mark.parametrize("member", ["code", "type"])
def test_without_money_waiting_does_not_help_whatever_the_status(member: str) -> None:
    raw = b'{"error": {"%b": "insufficient_quota"}}' % member.encode()
    for status in (400, 403, 429, 503):
        assert type(error_of_status(status, raw, "7")) is UpstreamOutOfQuota


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 2.0),
        ("7", 7.0),
        ("0.02", 1.0),
        ("1.5", 1.5),
        ("999", 120.0),
        ("-1", 2.0),
        ("1e9", 2.0),
        ("Fri, 31 Dec", 2.0),
        ("٣", 2.0),
    ],
)
def test_the_time_to_wait_is_the_servers_within_our_bounds(header: str | None, seconds: float) -> None:
    assert error_of_status(503, b"", header).retry_after == seconds


FAILED_RESPONSE = '{"type": "response.failed", "response": {"status": "failed", "error": {"code": "%s", "message": "secret"}}}'


@for_each(
    ("document", "kind", "reason"),
    [
        (FAILED_RESPONSE % "rate_limit_exceeded", UpstreamBusy, "rate_limit_exceeded"),
        ('{"error": {"code": null, "type": "rate_limit_error"}}', UpstreamBusy, None),
        ('{"status": "failed", "error": {"code": "rate_limit_exceeded"}}', UpstreamBusy, "rate_limit_exceeded"),
        (FAILED_RESPONSE % "invalid_prompt", UpstreamRefused, "invalid_prompt"),
        ('{"status": "failed", "error": {"code": "invalid_image_url"}}', UpstreamRefused, "invalid_image_url"),
        (FAILED_RESPONSE % "server_error", UpstreamError, None),
        (FAILED_RESPONSE % "vector_store_timeout", UpstreamError, None),
        (FAILED_RESPONSE % "Your key sk-1", UpstreamError, None),
        ('{"error": {"code": "anything"}}', UpstreamError, None),
        ('{"type": "error", "code": "anything", "message": "secret"}', UpstreamError, None),
    ],
)
def test_an_error_in_an_answer_keeps_the_word_that_says_what_to_do(
    document: str, kind: type[UpstreamError], reason: str | None
) -> None:
    error = error_of_document(document.encode(), "unusable answer")
    assert (type(error), getattr(error, "reason", None)) == (kind, reason)
