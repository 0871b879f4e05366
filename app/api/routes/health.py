"""GET /livez and /readyz: they record nothing and ask nothing of a model's server."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from ...audit.evidence.health import LogHealth
from ...security.replacement_notice import ReplacementNotice
from ...upstream.model_server import ModelServer
from ..context import AppContext, app_context, request_context
from ..scoreboard import Scoreboard

router = APIRouter(tags=["health"])
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not now: the body says why.", "content": {"application/json": {"schema": {"type": "object"}}}}
}
LIVE = b'{"status":"ok"}'


@router.api_route("/health", methods=["GET", "HEAD"], include_in_schema=False)
@router.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="The process is up")
async def livez() -> Response:
    return Response(LIVE, media_type="application/json")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Questions can be asked", responses=NOT_READY)
async def readyz(request: Request) -> Response:
    """Whether all workers can record, so that it does not matter which of them is asked."""
    request_context(request).origin.terminal_record.is_written = True  # a probe leaves no record, even of a 503
    status, body = readiness(app_context(request))
    return Response(body, status, media_type="application/json")


def readiness(app: AppContext) -> tuple[int, bytes]:
    """The status and the body of /readyz."""
    services, scoreboard, log = app.services, app.scoreboard, app.scoreboard.log
    is_open = services.audit.closed_because is None and not scoreboard.any_closed
    writable = is_open and log.problem is None and not log.is_away and services.audit.is_in_place()
    is_ready = writable and not scoreboard.any_uncounted and not scoreboard.is_stopping
    body: dict[str, Any] = {
        "status": "stopping" if scoreboard.is_stopping else "ready" if is_ready else "unavailable",
        "audit": "writable" if writable else "audit_unavailable",  # the security log says why
        "limits": _limits(scoreboard),
        "refused_for_audit": scoreboard.refused,
        "log": "as signed" if log.problem is None else "not what was signed: nothing is recorded",
        "log_recheck": {"position": log.recheck.position, "size": log.recheck.size, "passes": log.recheck.passes},
        "log_key": "in place" if not log.is_key_lost else "lost or altered: restore it before a restart",
        "signing": _signing(log),
        "head_age_seconds": log.head_age_seconds,
        "revocations": _revocations(services.security.is_following, scoreboard.database),
        "model": services.model_note,
        "breakers": {name: _breaker(upstream) for name, upstream in services.assistant.v1_requests.upstreams.items()},
        "lost": {"output": scoreboard.lost_messages, "security_log": scoreboard.lost_events},
    }
    if services.settings.has_nodes:
        body["node"] = services.settings.node
        body["nodes"] = _nodes(services.nodes.differing)
    return (200 if is_ready else 503), orjson.dumps(body)


def _limits(scoreboard: Scoreboard) -> str:
    if scoreboard.any_uncounted:
        return "not counted: every request is refused"
    return "counted on this node alone, which grants its part of them" if scoreboard.any_alone else "counted"


def _nodes(differing: dict[str, list[str]] | None) -> str | dict[str, str]:
    if differing is None:
        return "not compared: DATABASE_URL is a file"
    return {node: f"has another {' and another '.join(names)}" for node, names in differing.items()} or "alike"


def _signing(log: LogHealth) -> str:
    if log.stands_still:
        return "stands still: nothing is signed, and nobody watches the log"
    return "behind: the security log says why" if log.is_behind else "up to date"


def _breaker(upstream: ModelServer) -> str:
    """For information alone: other models may answer, and this one again in a moment."""
    return "open: not asked for a moment" if upstream.breaker.is_open else "closed"


def _revocations(is_following: bool, database: ReplacementNotice) -> str:
    if not is_following:
        return "stale: the client database cannot be read"
    return f"kept: the client database was replaced and lacked {database.kept} of them" if database.kept else "up to date"
