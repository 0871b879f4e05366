"""GET /livez and /readyz. They write nothing and ask nothing of a model's server."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Response

from ..dependencies import ServicesDep

router = APIRouter(tags=["health"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="The process is up")
async def livez() -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Questions can be asked", responses={503: {"description": "Not now: the body says why."}})
async def readyz(services: ServicesDep) -> Response:
    writable = services.audit.closed_because is None and services.audit.is_in_place()
    body: dict[str, Any] = {
        "status": "ready" if writable else "unavailable",
        "audit": "writable" if writable else "audit_unavailable",  # why is told in the security log
        "revocations": "up to date" if services.security.is_following else "stale: the client database cannot be read",
        "model": services.model_note,
    }
    return Response(orjson.dumps(body), 200 if writable else 503, media_type="application/json")
