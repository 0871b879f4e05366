"""GET /budget: what is left of the caller's own budgets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Response

from ...catalogue.budgets import Budget
from ...kit.moments import iso
from ...limits.budgets.reservations import TOKENS, shown
from ...limits.budgets.store import PotState
from ..dependencies import Proven, ServicesDep
from ..schemas import PROBLEM, BudgetsBody

router = APIRouter(tags=["budget"])


@router.get(
    "/budget",
    summary="What is left of your own budgets",
    response_model=BudgetsBody,
    responses=dict.fromkeys((401, 429, 503), PROBLEM),
)
async def budget(principal: Proven, services: ServicesDep) -> Response:
    """Those that are yours alone. Others may apply to you too, such as one of your role."""
    catalogue = services.assistant.v1_requests.catalogue
    own = [one for one in catalogue.budgets_for(principal.user_id, (), "") if one.principal == principal.user_id]
    states = await services.budgets.left_of(own, catalogue.time_zone)
    document = {"budgets": [_document(*one, catalogue.currency) for one in states]}
    return Response(orjson.dumps(document), media_type="application/json")


def _document(budget: Budget, period: str, state: PotState, begins_anew: datetime, currency: str) -> dict[str, Any]:
    """The members of BudgetBody."""
    amounts = {
        "most": budget.most + state.added,
        "spent": state.spent,
        "reserved": state.open,
        "left": max(0, state.left(budget.most)),
    }
    return {
        "id": budget.id,
        "per": budget.per,
        "period": period,
        "unit": currency if budget.counts_money else TOKENS,
        **{name: shown(amount, budget.counts_money) for name, amount in amounts.items()},
        "begins_anew": iso(begins_anew),
    }
