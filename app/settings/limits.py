"""How much a caller may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from ..catalogue.limits_url import LimitsUrl, limits_address
from ..catalogue.values import DatabaseUrl, PerMinute
from ..kit.postgres_url import is_postgres


class LimitSettings(BaseModel):
    """Requests a minute, and the store of budgets."""

    rate_limit: PerMinute = 60
    address_rate_limit: PerMinute = 600
    limits_url: LimitsUrl | None = None
    limits_password_file: Path | None = None
    limits_timeout_seconds: Annotated[float, Field(ge=0.005, le=5)] = 0.05
    limits_down: Literal["refuse", "local_share"] = "refuse"
    limits_nodes: Annotated[int, Field(ge=1, le=1000)] | None = None
    budgets_url: DatabaseUrl | None = Field(None, repr=False)
    budgets_password_file: Path | None = None

    @model_validator(mode="after")
    def _verify_budgets_password_file(self) -> LimitSettings:
        if self.budgets_password_file is not None and not is_postgres(self.budgets_url or ""):
            raise ValueError("BUDGETS_PASSWORD_FILE is set, but BUDGETS_URL names no server")
        return self

    @model_validator(mode="after")
    def _verify_limits(self) -> LimitSettings:
        if self.limits_down == "local_share" and (self.limits_url is None or self.limits_nodes is None):
            raise ValueError("LIMITS_DOWN=local_share needs LIMITS_URL, and LIMITS_NODES: how many nodes divide each limit")
        if self.limits_password_file is None:
            return self
        if self.limits_url is None:
            raise ValueError("LIMITS_PASSWORD_FILE needs LIMITS_URL")
        if limits_address(self.limits_url.get_secret_value()).password is not None:
            raise ValueError("LIMITS_URL holds a password, and LIMITS_PASSWORD_FILE names another: keep the file")
        return self
