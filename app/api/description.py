"""The OpenAPI description: what FastAPI makes of the routes, and what holds for all of them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from .error_bodies import STATUS
from .http_errors import HeadTooLarge, MalformedHttp, RequestTimeout, TooManyConnections
from .schemas import PROBLEM, ProblemBody

API_KEY = "api_key"
BEFORE_A_ROUTE = (STATUS[MalformedHttp.code], STATUS[RequestTimeout.code], HeadTooLarge.status, STATUS[TooManyConnections.code])
"""What every address may answer, before it is known which it is."""
TEXT, NUMBER = {"schema": {"type": "string"}}, {"schema": {"type": "integer", "minimum": 0}}
REQUEST_ID: dict[str, Any] = {"x-request-id": {"schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}, "required": True}}
OF_STATUS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": TEXT},
    "429": {"Retry-After": NUMBER},
    "503": {"Retry-After": NUMBER},
}
LIMITS: dict[str, Any] = {
    "RateLimit-Policy": TEXT,
    "RateLimit": TEXT,
    **{f"x-ratelimit-reset-{of}": TEXT for of in ("requests", "tokens")},
    **{f"x-ratelimit-{what}-{of}": NUMBER for of in ("requests", "tokens") for what in ("limit", "remaining")},
}
"""Of a principal."""
HEADERS = REQUEST_ID | LIMITS | OF_STATUS["401"] | OF_STATUS["429"]
OWN_VALIDATION = "HTTPValidationError"
"""FastAPI's, for parameters that it reads. Here it reads only texts, which it never refuses."""


async def description_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description. Made once, in a thread: it takes a sixth of a second."""
    if not hasattr(app.state, "description"):
        app.state.description = await asyncio.to_thread(described, app)
    description: dict[str, Any] = app.state.description
    return description


def described(app: FastAPI) -> dict[str, Any]:
    """As FastAPI makes it, with API keys: a second scheme on the routes would slow each request."""
    description = app.openapi()
    components = description.get("components", {})
    schemes: dict[str, Any] = components.get("securitySchemes")
    if schemes and API_KEY not in schemes:
        schemes[API_KEY] = {"type": "http", "scheme": "bearer", "description": "A key (saa_…), or a token."}
        for methods in description["paths"].values():
            for operation in methods.values():
                _complete(operation)
        components["headers"] = HEADERS
        components["schemas"]["ProblemBody"] = ProblemBody.model_json_schema()
        for name in (OWN_VALIDATION, "ValidationError"):
            components["schemas"].pop(name, None)
    return description


def _complete(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation["responses"]
    if OWN_VALIDATION in str(responses.get("422")):
        del responses["422"]
    refusals = [{"content": one["content"]} for status, one in responses.items() if status[0] == "4"]
    for number in BEFORE_A_ROUTE:
        refusal = {"description": HTTPStatus(number).phrase, **(refusals[0] if refusals else PROBLEM)}
        responses.setdefault(str(number), refusal)
    is_guarded = "security" in operation
    if is_guarded:
        operation["security"].append({API_KEY: []})
    for status, response in responses.items():
        names = [*REQUEST_ID, *OF_STATUS.get(status, {}), *(LIMITS if is_guarded else {})]
        known = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        response["headers"] = known | response.get("headers", {})
