"""Answers health probes as soon as their head is read, before anything that can queue.

The routes of app/api/routes/health.py give the same answers, for browsers and without `serve`.
"""

from __future__ import annotations

import asyncio
import secrets

from ..api.context import AppContext
from ..api.middleware import POLICY
from ..api.routes.health import LIVE, readiness
from .early_refusals import answer_head
from .http_parser import Head
from .http_request import ServerParts

LIVENESS = frozenset({"/livez", "/health", "/healthz"})
HEALTH = LIVENESS | {"/readyz"}


class HealthDesk:
    """Of one worker. It has no answers before the application has started."""

    context: AppContext | None = None

    def answers(self, head: Head, transport: asyncio.WriteTransport, server: ServerParts, is_last: bool) -> bool:
        """Answer a plain probe, unless an earlier answer is unread; False: it is none.

        *is_last*: the connection ends with it.
        """
        if head.path not in HEALTH or head.method not in ("GET", "HEAD") or self.context is None:
            return False
        if transport.get_write_buffer_size() or any(
            name == b"origin" for name, _ in head.headers
        ):  # a browser's script asks: CORS decides
            return False
        status, body = (200, LIVE) if head.path in LIVENESS else readiness(self.context)
        end = [(b"connection", b"close")] if is_last else []
        more = [*server.state.default_headers, (b"content-security-policy", POLICY), *end]
        start = answer_head(status, b"application/json", len(body), secrets.token_hex(16), more)
        transport.write(start if head.method == "HEAD" else start + body)
        return True
