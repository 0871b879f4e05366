"""Cross-origin requests: which headers a script of a listed origin may send and read."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from .http_errors import CrossOriginRefused

SDK_HEADERS = [
    *(f"x-stainless-{what}" for what in ("arch", "lang", "os", "package-version", "retry-count", "runtime", "runtime-version")),
    *("x-stainless-timeout", "x-stainless-helper-method", "x-client-request-id", "idempotency-key"),
    *("openai-organization", "openai-project", "openai-beta"),
]
"""The headers that OpenAI's SDK sends from a browser."""
EXPOSED = [
    *("x-request-id", "x-audit-seq", "x-audit-hash", "ratelimit", "ratelimit-policy"),
    *("retry-after", "retry-after-ms", "x-should-retry"),
    *(f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")),
]


class Cors(CORSMiddleware):
    """Starlette's, but a refused preflight becomes our error, recorded like every refusal."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code >= 400:
            raise CrossOriginRefused()
        return response


def add_cors(app: FastAPI, origins: Sequence[str]) -> None:
    """Let scripts of *origins* call *app*."""
    app.add_middleware(
        Cors,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-request-id", *SDK_HEADERS],
        expose_headers=EXPOSED,
    )
