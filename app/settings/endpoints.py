"""What the endpoints take and how they are reached."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

from ..catalogue.values import (
    BodyBytes,
    CharacterCount,
    MessageCount,
    Network,
    OverCap,
    ParamName,
    PublicUrl,
    ServerSideName,
    TokenCount,
)
from ..kit.web_origin import normal_origin


class EndpointSettings(BaseModel):
    """Addresses, bounds of /v1 and the life of the service."""

    public_url: PublicUrl | None = None
    v1_max_body_bytes: BodyBytes = 8 << 20
    v1_max_messages: MessageCount = 1000
    v1_max_message_chars: CharacterCount = 500_000
    v1_max_tokens: TokenCount = 131_072
    v1_default_tokens: TokenCount | None = None
    v1_over_cap: OverCap = "refuse"
    v1_refused_params: Annotated[tuple[ParamName, ...], NoDecode] = ()
    v1_server_side: Annotated[tuple[ServerSideName, ...], NoDecode] = ()
    stream_keepalive_seconds: float = Field(10, gt=0, le=600)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    docs_enabled: bool = True
    console_enabled: bool = True
    console_idle_minutes: int = Field(15, ge=1, le=480)
    shutdown_notice_seconds: float = Field(0, ge=0, le=600)
    shutdown_grace_seconds: float = Field(30, ge=1, le=3600)

    @field_validator("cors_origins")
    @classmethod
    def _verify_cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(dict.fromkeys(map(normal_origin, value)))
        except ValueError:
            what = "such as https://app.example.com or app://desktop, separated by commas; * as in moz-extension://* only"
            raise ValueError(f"takes origins {what}") from None
