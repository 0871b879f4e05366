"""The tables of MODELS_FILE: their keys, and what each may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from .caps import Caps
from .models import Auth, EndpointName, ProtocolName, Server
from .values import (
    BaseUrl,
    BodyBytes,
    CharacterCount,
    ContextTokens,
    MessageCount,
    Name,
    NonEmpty,
    OverCap,
    PerMinute,
    Role,
    Seconds,
    ServerSideName,
    StreamSeconds,
    TokenCount,
    TokenParam,
    VariableName,
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ServerTable(_Table):
    base_url: BaseUrl | None = None
    api_key_env: VariableName | None = None
    stream_usage: bool = True
    retry_idle_close: bool = True
    protocols: NonEmpty[ProtocolName] | None = None
    auth: Auth | None = None
    token_param: TokenParam | None = None

    def server(self, name: str, api_key: str) -> Server:
        protocols = frozenset(self.protocols) if self.protocols else None
        own = self.model_dump(exclude={"api_key_env", "protocols"})
        return Server(name, api_key=api_key, protocols=protocols, **own)


class ModelTable(_Table):
    server: str
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    roles: NonEmpty[Role] | None = None
    endpoints: NonEmpty[EndpointName] | None = None
    aliases: list[Name] = []
    max_output_tokens: TokenCount | None = None
    default_output_tokens: TokenCount | None = None
    context_tokens: ContextTokens | None = None
    over_cap: OverCap | None = None


class CapsTable(_Table):
    body_bytes: BodyBytes | None = None
    messages: MessageCount | None = None
    message_chars: CharacterCount | None = None
    max_output_tokens: TokenCount | None = Field(None, validation_alias=AliasChoices("max_output_tokens", "tokens"))
    default_output_tokens: TokenCount | None = None
    over_cap: OverCap | None = None
    requests_per_minute: PerMinute | None = None
    timeout_seconds: Seconds | None = None
    stream_timeout_seconds: StreamSeconds | None = None

    def over(self, caps: Caps) -> Caps:
        """*caps*, with what this table has of its own."""
        own = self.model_dump(exclude_none=True)
        if "over_cap" in own:
            own["clamps"] = own.pop("over_cap") == "clamp"
        return replace(caps, **own)


class ModelsFile(_Table):
    servers: dict[Name, ServerTable]
    models: dict[Name, ModelTable]
    caps: dict[Role, CapsTable] = {}
    server_side: dict[Role, list[ServerSideName]] = {}
