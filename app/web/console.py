"""GET /console: one page, whose parts come as HTML once somebody has signed in.

The page itself answers anyone, and holds no data. What was signed in with stays in its memory.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from .. import __version__
from ..api.context import request_context
from ..api.dependencies import Proven, ServicesDep, bearer_token
from ..api.static_files import PageFiles
from ..settings import Settings
from . import admin_clients, admin_state, export, pages, records, usage
from .templates import POLICY, html, page_names

STATIC = Path(__file__).parent / "static"
VERIFIER = Path(__file__).parent / "verify.html"
ITS_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">')
router = APIRouter(include_in_schema=False)


@router.get("/console/session")
async def session(principal: Proven) -> Response:
    """What the page needs to know of who has signed in."""
    body = {
        "user_id": principal.user_id,
        "roles": list(principal.roles),
        "kind": principal.kind,
        "expires_at": principal.expires_at,
        "pages": page_names(principal),
    }
    return Response(orjson.dumps(body), media_type="application/json")


@router.post("/console/sign-out")
async def sign_out(principal: Proven, services: ServicesDep, request: Request) -> Response:
    """The token of a console that was signed out proves nothing any more. A key stays."""
    if principal.kind == "token":
        origin = request_context(request).origin
        known: dict[str, Any] = {"request_id": origin.request_id, "address": origin.address}
        await services.security.revoke_credential(principal.client_id, bearer_token(request), **known)
    return Response(status_code=204)


def add_console(app: FastAPI, settings: Settings) -> None:
    """Add the page, its files, its parts, and the endpoints that it uses."""
    app.state.feeds = Counter[str]()
    shell = html("console.html", version=__version__, idle_minutes=settings.console_idle_minutes)

    async def console() -> Response:
        return Response(shell, media_type="text/html", headers={"content-security-policy": POLICY})

    verifier = VERIFIER.read_bytes()
    allowed = ITS_POLICY.search(verifier.decode())
    assert allowed is not None, "the verifier names what it may do"
    policy = f"{allowed[1]}; frame-ancestors 'none'"

    async def verify() -> Response:
        """One file that works from a disk, too: the only page with script and style in it."""
        return Response(verifier, media_type="text/html", headers={"content-security-policy": policy})

    app.add_api_route("/console/verify.html", verify, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/console", console, methods=["GET", "HEAD"], include_in_schema=False)
    assert admin_state.router is admin_clients.router, "one router for all of /admin"
    for one in (admin_clients.router, records.router, export.router, usage.router, pages.router, router):
        app.include_router(one)
    app.mount("/console/static", PageFiles(directory=str(STATIC)))
