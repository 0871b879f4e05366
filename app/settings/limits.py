"""How much a caller may ask for."""

from __future__ import annotations

from pydantic import BaseModel

from ..catalogue.values import PerMinute, SqliteUrl


class LimitSettings(BaseModel):
    """Requests a minute, and the store of budgets."""

    rate_limit: PerMinute = 60
    address_rate_limit: PerMinute = 600
    budgets_url: SqliteUrl | None = None
