"""The parts of the console, as HTML: what each page shows, and which role it needs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from ..admin.known_roles import known_roles
from ..api.context import AppContext, app_context
from ..api.dependencies import Auditor, Proven, Reader, ServicesDep
from ..api.error_bodies import public_detail
from ..audit.format.record import ACTIONS
from ..audit.index.search import Filter
from ..errors import ConfigError, Unavailable
from ..security.models import Principal
from ..security.record_search import allowed, whose_sums
from ..security.roles import ADMIN, AUDIT_READER
from ..wiring.services import Services
from . import admin_bodies as bodies
from .console_data import models_of, totals_of
from .dependencies import Admin, InquiryDep
from .filters import filter_of, user_of
from .records import names_body, newest, search_body
from .status import budgets_of, irregularities_of, status_of
from .templates import part
from .usage import refusals_of, rows_of, span_of

router = APIRouter(prefix="/console/parts", include_in_schema=False)
IRREGULAR = (
    "log.recovered",
    "log.resumed",
    "log.opened",
    "log.clock_stepped",
    "log.tree_rebuilt",
    "worker.replaced",
    "database.replaced",
)
"""Actions that tell of the log itself: an auditor looks at them first."""


@router.get("/playground")
async def playground(principal: Reader, services: ServicesDep) -> Response:
    return part("playground", models=models_of(services, principal))


@router.get("/records")
async def records(principal: Proven, request: Request) -> Response:
    user = None if principal.has(AUDIT_READER) else principal.user_id
    names = await names_body(app_context(request), user)
    return part("records", page="records", me=principal.user_id, actions=sorted(ACTIONS), names=names, reads_all=False)


@router.get("/records/list")
async def records_list(inquiry: InquiryDep, request: Request) -> Response:
    wanted = allowed(inquiry.principal, filter_of(request))
    try:
        found = await search_body(app_context(request), inquiry, wanted)
    except Unavailable as error:
        return part("building", detail=public_detail(error))
    me = inquiry.principal.user_id
    return part(
        "list", **found, is_more=wanted.before is not None, shows_user=wanted.user != me, has_filter=_has_filter(wanted, me)
    )


@router.get("/verify")
async def verify(_: Proven) -> Response:
    return part("verify")


@router.get("/usage")
async def usage(principal: Proven, request: Request) -> Response:
    app = app_context(request)
    names = await names_body(app, whose_sums(principal, None))
    today = datetime.now(UTC).date()
    spans = [(days, (today - timedelta(days=days - 1)).isoformat()) for days in (1, 7, 30, 90, 365)]
    sees_all = whose_sums(principal, None) is None
    return part("usage", me=principal.user_id, names=names, spans=spans, sees_all=sees_all)


@router.get("/usage/sums")
async def usage_sums(principal: Proven, request: Request) -> Response:
    app = app_context(request)
    span = span_of(request, whose_sums(principal, user_of(request.query_params.get("user"))))
    try:
        by = {name: await rows_of(app, name, span) for name in ("day", "principal", "model")}
        refused = await refusals_of(app, span)
    except Unavailable as error:
        return part("building", detail=public_detail(error))
    currency = app.services.assistant.v1_requests.catalogue.currency
    budgets = await _budgets(app, principal, span.user)
    return part("usage_sums", **by, totals=totals_of(by["day"]), refused=refused, currency=currency, budgets=budgets, span=span)


async def _budgets(app: AppContext, principal: Principal, user: str | None) -> list[dict[str, Any]] | None:
    """All for an admin, else those that are the principal's alone. None: not to be read now."""
    try:
        budgets = await budgets_of(app)
    except Unavailable:
        return None
    if principal.has(ADMIN) and user is None:
        return budgets
    return [one for one in budgets if one["id"].startswith(f"principal={user or principal.user_id}/")]


@router.get("/operations")
async def operations(_: Admin, services: ServicesDep) -> Response:
    return part("operations", roles=await _roles(services))


@router.get("/operations/state")
async def operations_state(_: Admin, request: Request) -> Response:
    return part("state", state=await status_of(app_context(request)))


@router.get("/operations/clients")
async def operations_clients(principal: Admin, services: ServicesDep) -> Response:
    clients = [bodies.client_body(one) for one in await services.clients.list_all()]
    now = datetime.now(UTC)
    keys = [bodies.key_body(one) | {"state": one.state(now)} for one in await services.clients.keys.list_all(None)]
    return part("clients", clients=clients, keys=keys, me=principal.user_id, roles=await _roles(services))


async def _roles(services: Services) -> list[str]:
    """Those to choose from; of a policy file that is being edited and cannot be read none."""
    try:
        return await asyncio.to_thread(known_roles, services.settings.policy_path)
    except ConfigError:
        return known_roles(None)


@router.get("/audit")
async def audit(principal: Auditor, request: Request) -> Response:
    app = app_context(request)
    names = await names_body(app, None)
    return part("records", page="audit", me=principal.user_id, actions=sorted(ACTIONS), names=names, reads_all=True)


@router.get("/audit/log")
async def audit_log(_: Auditor, request: Request) -> Response:
    """What is out of the ordinary, and how far the signatures reach."""
    app = app_context(request)
    try:
        found = await irregularities_of(app)
    except Unavailable as error:
        return part("building", detail=public_detail(error))
    log = app.scoreboard.log
    return part("log", **found, irregular=IRREGULAR, size=newest(app), head_age=log.head_age_seconds, problem=log.problem)


def _has_filter(wanted: Filter, me: str) -> bool:
    return any(name not in ("user", "before") for name in wanted.members()) or wanted.user not in (None, me)
