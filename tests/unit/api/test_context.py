"""What a request carries: frozen, replaced as a whole, and one place that knows whether it has its record."""

from __future__ import annotations

import pytest

from app.api.context import RequestContext, address_of, change_context, error_style_of, request_context
from app.assistant.models import Origin

from ...support.http_request import REQUEST_ID, request_of, scope_of
from ...support.tables import for_each


def test_a_context_cannot_be_changed_only_replaced() -> None:
    request = request_of()
    context = request_context(request)
    with pytest.raises(AttributeError):
        context.user_id = "alice"  # type: ignore[misc]
    change_context(request, user_id="alice")
    assert request_context(request).user_id == request_context(request.scope).user_id == "alice"
    assert context.user_id is None


def test_a_replaced_context_still_shares_the_one_flag_of_its_record() -> None:
    context = RequestContext(Origin(REQUEST_ID))
    context._replace(is_body_read=True).origin.terminal_record.is_written = True
    assert context.origin.terminal_record.is_written
    assert not Origin(REQUEST_ID).terminal_record.is_written, "each request has a flag of its own"
    assert Origin(REQUEST_ID) == context.origin, "the flag does not make it another request"


@for_each(
    ("path", "style"),
    [
        ("/ask", "problem"),
        ("/audit/entries", "problem"),
        ("", "problem"),
        ("/v1", "problem"),
        ("/v1/", "openai"),
        ("/v1/nothing", "openai"),
        ("/token", "oauth"),
        ("/token/revoke", "oauth"),
        ("/tokens", "problem"),
        ("/x/v1/models", "problem"),
    ],
)
def test_the_path_decides_the_style_of_errors(path: str, style: str) -> None:
    assert error_style_of(request_of(path)) == error_style_of(scope_of(path)) == style


@pytest.mark.parametrize(
    ("path", "style"),
    [("/v1/models", "anthropic"), ("/v1/models/a/b", "anthropic"), ("/v1/modelsx", "openai"), ("/v1/responses", "openai")],
)
def test_models_are_anthropics_to_a_client_that_names_its_version(path: str, style: str) -> None:
    assert error_style_of(request_of(path, {"Anthropic-Version": "2023-06-01"})) == style
    assert error_style_of(request_of(path)) == "openai"


def test_the_address_is_the_peers_and_is_cut() -> None:
    assert address_of(scope_of(client=("2001:db8::1", 1))) == "2001:db8::1"
    assert address_of(scope_of(client=("x" * 100, 1))) == "x" * 64
    assert address_of(scope_of(client=None)) == "unknown"
