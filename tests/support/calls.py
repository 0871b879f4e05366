"""For tests of the HTTP contract: calls, the records of a response, and checks that every refusal must pass."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any

import httpx

from app.serving.silence import HALF_CLOSE_SECONDS

from .service import HTTP, Service

FORM = {"grant_type": "client_credentials"}
TIMEOUT_SECONDS = 20.0


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def wait_until_late(service: Service) -> None:
    """Return once a caller of a worker's who ends their sending is one who leaves; sooner they may wait for the answer."""
    time.sleep(2 * HALF_CLOSE_SECONDS)
    assert HTTP.get(service.url + "/livez").status_code == 200  # its event loop has turned since


def challenge(service: Service, error: str = "") -> str:
    """The WWW-Authenticate of a 401 to a bearer (RFC 6750, section 3, and RFC 9728, section 5.1)."""
    words = f', error="{error}"' if error else ""
    metadata = f"{service.url}/.well-known/oauth-protected-resource"
    return f'Bearer realm="secure-ai-assistant"{words}, resource_metadata="{metadata}"'


def records_of(service: Service, response: httpx.Response) -> list[dict[str, Any]]:
    """The records of the request answered by *response*."""
    return [record for record in service.records() if record["request_id"] == response.headers["x-request-id"]]


def refusal(service: Service, response: httpx.Response, action: str = "request.refused") -> dict[str, Any]:
    """The one record of a refused request."""
    (record,) = records_of(service, response)
    assert (record["action"], record["details"]["status"]) == (action, response.status_code)
    return record


def check_problem(response: httpx.Response, status: int, code: str) -> None:
    """Check the body of a refusal (RFC 9457), which holds the id of its request."""
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert list(body) == ["type", "title", "status", "detail", "code", "request_id"]
    assert (body["status"], body["title"]) == (status, HTTPStatus(status).phrase)
    assert body["request_id"] == response.headers["x-request-id"]


def check_oauth_error(response: httpx.Response, status: int, error: str) -> None:
    """Check the body of a refused token request (RFC 6749, section 5.2)."""
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert set(response.json()) == {"error", "error_description"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
