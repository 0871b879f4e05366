"""What is said to OAuth clients: only what is served, and cached only where no caller shaped it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request, Response

from app.api.routes.discovery import authorization_server, protected_resource
from app.api.schemas import AuthorizationServer, ProtectedResource

from ....support.http_request import SETTINGS, FakeApp, request_of, run

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
BOTH = [authorization_server, protected_resource]


def told(endpoint: Endpoint, host: str = "h:8000", **settings: Any) -> tuple[dict[str, Any], Response]:
    app = FakeApp()
    app.services.settings = SimpleNamespace(**{**vars(SETTINGS), **settings})
    response = run(endpoint(request_of("/.well-known/x", {"Host": host}, method="GET", app=app)))
    return dict(json.loads(bytes(response.body))), response


def test_the_authorization_server_names_its_endpoints_and_proofs() -> None:
    document, _ = told(authorization_server)
    proofs = ["client_secret_basic", "client_secret_post"]
    assert document == {
        "issuer": "http://h:8000",
        "token_endpoint": "http://h:8000/token",
        "scopes_supported": ["ai.playground.user", "ai.audit.reader", "ai.token.introspect", "ai.admin"],
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": proofs,
        "revocation_endpoint": "http://h:8000/token/revoke",
        "revocation_endpoint_auth_methods_supported": proofs,
        "introspection_endpoint": "http://h:8000/token/introspect",
        "introspection_endpoint_auth_methods_supported": proofs,
        "service_documentation": "http://h:8000/docs",
    }
    assert AuthorizationServer.model_validate(document).model_dump() == document


def test_the_protected_resource_names_its_authorization_server() -> None:
    document, _ = told(protected_resource, docs_enabled=False)
    assert document == {
        "resource": "http://h:8000",
        "authorization_servers": ["http://h:8000"],
        "scopes_supported": ["ai.playground.user", "ai.audit.reader", "ai.token.introspect", "ai.admin"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Secure AI Assistant",
    }
    assert ProtectedResource.model_validate(document).model_dump(exclude_none=True) == document


@pytest.mark.parametrize("endpoint", BOTH)
def test_only_what_no_caller_can_shape_may_be_cached(endpoint: Endpoint) -> None:
    _, of_the_host = told(endpoint)
    assert "cache-control" not in of_the_host.headers  # so the middleware adds no-store
    document, of_the_setting = told(endpoint, "evil.example", public_url="https://ai.example.com/ai")
    assert of_the_setting.headers["cache-control"] == "public, max-age=3600"
    assert "evil" not in json.dumps(document)
    assert "https://ai.example.com/ai/docs" in document.values()
