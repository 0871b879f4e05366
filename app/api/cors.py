"""Cross-origin requests of browsers (the Fetch standard): which origins and headers may be sent."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi import FastAPI, Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from ..kit.web_origin import is_origin_among
from .http_errors import CrossOriginRefused

EXPOSED = [
    *("x-request-id", "request-id", "x-audit-seq", "x-audit-hash", "ratelimit", "ratelimit-policy", "x-clamped"),
    *("retry-after", "retry-after-ms", "x-should-retry"),
    *(f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset")),
]
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,100}", re.IGNORECASE)
PROXY_HEADERS = re.compile(r"forwarded|x-forwarded-.*|x-real-ip|via", re.IGNORECASE)
"""What only a proxy may say. A script of an allowed origin may send any other header: the origin is
trusted to ask in the caller's name already, and no other header grants anything here."""


class Cors(CORSMiddleware):
    """Starlette's, but a refused preflight becomes our error, recorded like every refusal."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=EXPOSED,
        )

    def is_allowed_origin(self, origin: str) -> bool:
        return is_origin_among(origin, self.allow_origins)

    def preflight_response(self, request_headers: Headers) -> Response:
        wanted = request_headers.get("access-control-request-headers", "").split(",")
        names = [name for name in map(str.strip, wanted) if name]
        response = super().preflight_response(request_headers)
        are_allowed = all(HEADER_NAME.fullmatch(name) and not PROXY_HEADERS.fullmatch(name) for name in names)
        if response.status_code >= 400 or not are_allowed:
            raise CrossOriginRefused()
        return response


def add_cors(app: FastAPI, origins: Sequence[str]) -> None:
    """Let scripts of *origins*, as `normal_origin` writes them, call *app*."""
    app.add_middleware(Cors, origins=origins)
