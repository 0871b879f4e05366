"""The tables of the policy file: their keys, and what each may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from .budgets import Budget, PeriodName, budget_id
from .caps import Caps
from .models import Auth, EndpointName, ProtocolName, Server
from .policy_values import (
    Currency,
    HedgeSeconds,
    MoneyAmount,
    PriceAmount,
    PrincipalName,
    Provider,
    Share,
    TimeZone,
    TokenBudget,
    TokenRate,
)
from .prices import Price
from .rules import BreakerRules, RetryRules
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
    Real,
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
    langchain: Provider | None = None
    stream_usage: bool = True
    retry_idle_close: bool = True
    protocols: NonEmpty[ProtocolName] | None = None
    auth: Auth | None = None
    token_param: TokenParam | None = None

    def server(self, name: str, api_key: str) -> Server:
        protocols = frozenset(self.protocols) if self.protocols else None
        own = self.model_dump(exclude={"api_key_env", "protocols"})
        return Server(name, api_key=api_key, protocols=protocols, **own)


ServedName = Annotated[str, Field(min_length=1, max_length=200)]
"""What a server calls a model."""


class ServedByTable(_Table):
    name: str
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    model: ServedName | None = None


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class ModelTable(_Table):
    server: str | None = None
    servers: NonEmpty[Annotated[ServedByTable, BeforeValidator(_named)]] | None = None
    model: ServedName | None = None
    roles: NonEmpty[Role] | None = None
    endpoints: NonEmpty[EndpointName] | None = None
    aliases: list[Name] = []
    fallback: list[Name] = []
    timeout_seconds: Seconds | None = None
    max_output_tokens: TokenCount | None = None
    default_output_tokens: TokenCount | None = None
    context_tokens: ContextTokens | None = None
    tokens_per_minute: TokenRate | None = None
    hedge_after_seconds: HedgeSeconds | None = None
    over_cap: OverCap | None = None

    @property
    def served_by(self) -> list[ServedByTable]:
        """Empty where the table names no server."""
        return self.servers or ([] if self.server is None else [ServedByTable(name=self.server)])


class CapsTable(_Table):
    body_bytes: BodyBytes | None = None
    messages: MessageCount | None = None
    message_chars: CharacterCount | None = None
    max_output_tokens: TokenCount | None = Field(None, validation_alias=AliasChoices("max_output_tokens", "tokens"))
    default_output_tokens: TokenCount | None = None
    over_cap: OverCap | None = None
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: TokenRate | None = None
    timeout_seconds: Seconds | None = None
    stream_timeout_seconds: StreamSeconds | None = None

    def over(self, caps: Caps) -> Caps:
        """*caps*, with what this table has of its own."""
        own = self.model_dump(exclude_none=True)
        if "over_cap" in own:
            own["clamps"] = own.pop("over_cap") == "clamp"
        return replace(caps, **own)


class PriceTable(_Table):
    input: PriceAmount
    output: PriceAmount
    cached_input: PriceAmount | None = None
    cache_write: PriceAmount | None = None
    reasoning: PriceAmount | None = None
    per_call: dict[ServerSideName, PriceAmount] = {}

    def price(self) -> Price:
        """What is left out costs as much as the rest of the input or of the output."""
        cached, written = (self.input if own is None else own for own in (self.cached_input, self.cache_write))
        reasoning = self.output if self.reasoning is None else self.reasoning
        return Price(self.input, self.output, cached, written, reasoning, dict(self.per_call))


class BudgetTable(_Table):
    principal: PrincipalName | None = None
    role: Role | None = None
    model: Name | None = None
    money: MoneyAmount | None = None
    tokens: TokenBudget | None = None
    per: PeriodName

    def budget(self) -> Budget:
        scope = self.model_dump(include={"principal", "role", "model"})
        return Budget(budget_id(self.per, self.money is not None, **scope), **self.model_dump())


_RETRIES, _BREAKER = RetryRules(), BreakerRules()


class RetriesTable(_Table):
    most: Annotated[int, Field(ge=0, le=10)] = _RETRIES.most
    share: Share = _RETRIES.share
    after_generation: bool = _RETRIES.after_generation

    def rules(self) -> RetryRules:
        return RetryRules(**self.model_dump())


class BreakerTable(_Table):
    failures: Annotated[int, Field(ge=1, le=1_000_000)] = _BREAKER.failures
    share: Share = _BREAKER.share
    least: Annotated[int, Field(ge=1, le=1_000_000)] = _BREAKER.least
    window_seconds: Annotated[float, Real, Field(ge=1, le=3600)] = _BREAKER.window_seconds
    open_seconds: Annotated[float, Real, Field(ge=1, le=3600)] = _BREAKER.open_seconds

    def rules(self) -> BreakerRules:
        return BreakerRules(**self.model_dump())


class PolicyFile(_Table):
    currency: Currency = "USD"
    time_zone: TimeZone = "UTC"
    servers: dict[Name, ServerTable]
    models: dict[Name, ModelTable]
    caps: dict[Role, CapsTable] = {}
    server_side: dict[Role, list[ServerSideName]] = {}
    prices: dict[Name, PriceTable] = {}
    budgets: list[BudgetTable] = []
    retries: RetriesTable = RetriesTable()
    breaker: BreakerTable = BreakerTable()
