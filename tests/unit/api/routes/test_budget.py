"""GET /budget: one's own budgets, and nobody else's."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from app.api.routes import budget as route
from app.catalogue.models import Catalogue
from app.catalogue.prices import BILLION
from app.limits.budgets.store import PotState

from ....support.asking import PRINCIPAL
from ....support.budgets import NOON, budget
from ....support.caps import CAPS

OWN, OTHERS = budget(money=2 * BILLION), (budget("bob", money=1), budget(None, tokens=5))


class States:
    """In place of Budgets: half a dollar of each is spent, and a part is reserved."""

    async def left_of(self, budgets: Any, zone: Any) -> Any:
        return [(one, "2026-11-26", PotState(BILLION // 2, BILLION, BILLION), NOON) for one in budgets]


def test_ones_own_budgets_are_shown_with_what_is_left() -> None:
    catalogue = replace(Catalogue({}, CAPS, {}, frozenset()), budgets=(OWN, *OTHERS))
    services: Any = SimpleNamespace(assistant=SimpleNamespace(v1_requests=SimpleNamespace(catalogue=catalogue)), budgets=States())
    answer = asyncio.run(route.budget(PRINCIPAL, services))
    assert json.loads(bytes(answer.body)) == {
        "budgets": [
            {
                "id": OWN.id,
                "per": "day",
                "period": "2026-11-26",
                "unit": "USD",
                "most": "3",
                "spent": "0.5",
                "reserved": "1",
                "left": "1.5",
                "begins_anew": "2026-11-26T12:00:00Z",
            }
        ]
    }
