"""/admin/status, /admin/policy, /admin/budgets, /admin/breakers: what runs, and by which rules."""

from __future__ import annotations

from fastapi import Request, Response

from ..admin.breakers import close_breaker
from ..api.context import app_context
from .admin_bodies import NamedServer
from .admin_routes import changed, document, done, router, shown
from .dependencies import Admin, OperatingDep, read_body_as
from .status import budgets_of, policy_of, status_of

__all__ = ["router"]


@shown("/status", "Readiness, workers, the head of the log, breakers, limits, the policy")
async def status(_: Admin, request: Request) -> Response:
    return document(await status_of(app_context(request)))


@shown("/policy", "The policy in force: who may use which model, how much, for what money")
async def policy(_: Admin, request: Request) -> Response:
    return document(policy_of(app_context(request)))


@shown("/budgets", "Every budget in its present period")
async def budgets(_: Admin, request: Request) -> Response:
    return document({"budgets": await budgets_of(app_context(request))})


@changed("/breakers/close", "Ask a model's server again at once", NamedServer)
async def breakers_close(by: OperatingDep, request: Request) -> Response:
    named = await read_body_as(request, NamedServer)
    await close_breaker(named.server, by, app_context(request).services.settings)
    return done()
