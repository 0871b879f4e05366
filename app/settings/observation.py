"""How operators watch the service."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, Field, field_validator


class ObservationSettings(BaseModel):
    """Output and metrics."""

    log_format: Literal["text", "json"] = "text"

    metrics_port: int | None = Field(None, ge=0, le=65535)
    metrics_host: str = Field("127.0.0.1", max_length=255)

    @field_validator("metrics_host")
    @classmethod
    def _verify_host(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._:-]+", value):
            raise ValueError("takes an address to listen on, such as 127.0.0.1 or 0.0.0.0")
        return value
