"""What the service knows of itself: /readyz, workers, the head of the log, breakers, the policy."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson

from ..admin.breakers import BreakerState, breakers_here, list_breakers
from ..admin.budgets import show
from ..admin.policy_meaning import meaning_of
from ..api.context import AppContext
from ..api.routes.health import readiness
from ..audit.index.schema import index_path
from ..audit.index.search import irregularities, size_of
from ..errors import Unavailable
from ..kit.moments import iso
from ..settings import Settings


async def status_of(app: AppContext) -> dict[str, Any]:
    """Reads shared memory and a few small files; asks no model's server."""
    services, log = app.services, app.scoreboard.log
    code, body = readiness(app)
    settings = services.settings
    return {
        "is_ready": code == 200,
        "readiness": orjson.loads(body),
        "workers": [worker_of(app, number) for number in range(app.scoreboard.slots)],
        "log": {
            "origin": services.evidence.vkey.name,
            "vkey": services.evidence.vkey.text(),
            "signed_records": log.size,
            "head_age_seconds": log.head_age_seconds,
            "problem": log.problem,
        },
        "breakers": [asdict(one) for one in await app.services.audit_access.off_the_loop(partial(breakers_of, settings))],
        "limits": {"rate_limit": settings.rate_limit, "address_rate_limit": settings.address_rate_limit},
        "index": {"records": await indexed(app), "of": log.size},
        "policy": policy_of(app),
    }


def breakers_of(settings: Settings) -> list[BreakerState]:
    """Those of this machine alone while the database of all cannot be asked."""
    try:
        return list_breakers(settings)
    except Unavailable:
        return breakers_here(settings)


def worker_of(app: AppContext, number: int) -> dict[str, Any]:
    beaten_at = app.scoreboard.pulse(number).beaten_at
    age = round(time.monotonic() - beaten_at, 1) if beaten_at else None
    return {"number": number + 1, "seconds_since_heartbeat": age}


async def indexed(app: AppContext) -> int:
    try:
        return await app.services.audit_access.off_the_loop(partial(size_of, index_path(app.services.settings.audit_log_path)))
    except Unavailable:
        return 0


def policy_of(app: AppContext) -> dict[str, Any]:
    """What is in force: the policy file, or what the settings come to without one."""
    path, catalogue = app.services.settings.policy_path, app.services.assistant.v1_requests.catalogue
    return {"file": None if path is None else path.name, "sha256": catalogue.sha256, **meaning_of(catalogue)}


async def budgets_of(app: AppContext) -> list[dict[str, Any]]:
    """Every budget in its present period. Raises Unavailable where they cannot be read now."""
    catalogue = app.services.assistant.v1_requests.catalogue
    if not catalogue.budgets:
        return []
    rows = await app.services.audit_access.off_the_loop(partial(show, app.services.settings, catalogue))
    return [
        {
            "id": row.budget.id,
            "period": row.period,
            "unit": row.unit,
            "most": row.shown(row.most),
            "spent": row.shown(row.state.spent),
            "reserved": row.shown(row.state.open),
            "left": row.shown(max(0, row.state.left(row.budget.most))),
            "share": min(1.0, (row.state.spent + row.state.open) / row.most) if row.most else 1.0,
            "begins_anew": iso(row.begins_anew),
        }
        for row in rows
    ]


async def irregularities_of(app: AppContext) -> dict[str, Any]:
    return await app.services.audit_access.off_the_loop(partial(irregularities, index_path(app.services.settings.audit_log_path)))
