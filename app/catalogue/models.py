"""The models that callers may name, the servers that serve them, and the caps of each role."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Literal, get_args

from .budgets import EACH, Budget
from .caps import NO_TOKEN_RATE, Caps, OutputLimit, TokenRate, largest, smallest
from .prices import Price
from .rules import BreakerRules, RetryRules

EndpointName = Literal["chat", "responses", "embeddings", "completions", "messages"]
ENDPOINTS: tuple[str, ...] = get_args(EndpointName)
ProtocolName = Literal["openai", "anthropic"]
POLICY_DIGITS = 16
Auth = Literal["bearer", "x-api-key"]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served."""

    name: str
    base_url: str | None
    """Ends before `/chat/completions`. None is OpenAI."""
    api_key: str = field(repr=False)
    """Not sent when empty."""
    stream_usage: bool = True
    """Whether `stream_options.include_usage` may be sent: old servers refuse unknown parameters."""
    params: frozenset[str] | None = None
    """The only parameters that may be sent; None allows any."""
    retry_idle_close: bool = True
    """Whether to ask once more where an idle connection is closed as a question is sent."""
    protocols: frozenset[str] | None = None
    """Those that it speaks; None: each is tried."""
    auth: Auth | None = None
    """The header that carries the key; None: the one that is usual for this server."""
    token_param: str | None = None
    """The only name of the cap on tokens that it honours; None: it takes the caller's."""
    langchain: str | None = None
    """The provider as `init_chat_model` names it, for a server that speaks another protocol."""


@dataclass(frozen=True, slots=True)
class ServedBy:
    """One of the servers of a model."""

    server: Server
    weight: int = 1
    """Its share of the questions, beside the weights of the others."""
    model: str = ""
    """The name that this server uses."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model under the name that callers use."""

    name: str
    """The name that callers use, and that records hold."""
    model: str
    """The name that the first server uses."""
    server: Server
    """The first of `servers`."""
    roles: frozenset[str] | None = None
    """The roles that may use it; None is everyone who may ask."""
    endpoints: frozenset[str] = frozenset(ENDPOINTS)
    aliases: tuple[str, ...] = ()
    """Other names that callers may use, such as those of helper models that agents ask for."""
    max_output_tokens: int | None = None
    default_output_tokens: int | None = None
    context_tokens: int | None = None
    """What a question and its answer may have together."""
    clamps: bool | None = None
    """As in Caps; None leaves it to those."""
    servers: tuple[ServedBy, ...] = ()
    """All that serve it, the first one included."""
    fallback: tuple[str, ...] = ()
    """The models to ask where this one does not answer, in order. Theirs are not followed."""
    timeout_seconds: float | None = None
    """As in Caps, where the model has its own."""
    tokens_per_minute: int | None = None
    """Of all callers together; None: no limit."""
    hedge_after_seconds: float | None = None
    """After which a second server is asked, too; None: never."""

    def __post_init__(self) -> None:
        if not self.servers:
            object.__setattr__(self, "servers", (ServedBy(self.server, model=self.model),))

    @property
    def is_embedder(self) -> bool:
        return self.endpoints <= {"embeddings"}

    def output_limit(self, caps: Caps, *, needs_default: bool = False) -> OutputLimit:
        """The smallest ceiling; of the rest the model's own, before that of the caller.

        *needs_default*: where nothing says what a request without a length gets, the ceiling.
        """
        most = min(filter(None, (caps.max_output_tokens, self.max_output_tokens, self.context_tokens)))
        default = self.default_output_tokens or caps.default_output_tokens or (most if needs_default else 0)
        return OutputLimit(most, default, caps.clamps if self.clamps is None else self.clamps)

    def seconds_for(self, caps: Caps) -> float:
        """For a whole plain answer, and for the silence of a stream: the smaller one counts."""
        return min(caps.timeout_seconds, self.timeout_seconds or caps.timeout_seconds)

    def token_rates(self, user_id: str, caps: Caps) -> tuple[TokenRate, ...]:
        """Those that a question of the principal must keep; nearly always there are none."""
        own = () if caps.tokens_per_minute >= NO_TOKEN_RATE else (TokenRate(f"tokens/{user_id}", caps.tokens_per_minute),)
        if self.tokens_per_minute is None:
            return own
        return (*own, TokenRate(f"model-tokens/{self.name}", self.tokens_per_minute))

    def is_for(self, roles: Iterable[str]) -> bool:
        return self.roles is None or not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every model that this service offers, and how much each role may ask for."""

    models: Mapping[str, ModelEntry]
    """By name, in the order in which they are listed."""
    caps: Caps
    """For a principal without a role that has caps of its own."""
    role_caps: Mapping[str, Caps]
    refused_params: frozenset[str]
    created: int = 0
    """When the policy file was last changed, in Unix seconds; 0 where there is none."""
    sha256: str = ""
    """Of the policy file; empty where there is none."""
    server_side: frozenset[str] = frozenset()
    """What everyone may have run or kept on a model's server: names of tools and of content."""
    role_server_side: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What else each role may."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The names of models by their aliases."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """By the names of models; no price is not a price of 0."""
    budgets: tuple[Budget, ...] = ()
    currency: str = "USD"
    time_zone: tzinfo = UTC
    """In which the days and months of budgets begin."""
    retries: RetryRules = RetryRules()
    breaker: BreakerRules = BreakerRules()

    @property
    def short_sha256(self) -> str:
        """As the record of a question names the policy; empty where there is no file."""
        return self.sha256[:POLICY_DIGITS]

    def model_for(self, name: str, roles: Iterable[str], endpoint: str | None = None) -> ModelEntry | None:
        """The model with this name or alias.

        None if it is unknown, or not for these roles or endpoint: callers see no difference.
        """
        entry = self.models.get(self.aliases.get(name, name))
        if entry is None or not entry.is_for(roles) or (endpoint is not None and endpoint not in entry.endpoints):
            return None
        return entry

    def visible_to(self, roles: Iterable[str]) -> list[ModelEntry]:
        """In the order of the policy file."""
        known = frozenset(roles)
        return [entry for entry in self.models.values() if entry.is_for(known)]

    def server_side_for(self, roles: Iterable[str]) -> frozenset[str]:
        if not self.role_server_side:  # nearly always
            return self.server_side
        return self.server_side.union(*(self.role_server_side.get(role, ()) for role in roles))

    def caps_for(self, roles: Iterable[str], client_roles: Collection[str] = ()) -> Caps:
        """The largest of each cap among the roles with caps of their own, which may be lower.

        *client_roles*: of the client whose credential has only *roles*. It gets no more than those:
        else a client would escape a lower cap by a token without that role.
        """
        found = self._largest_for(roles)
        return smallest((found, self._largest_for(client_roles))) if client_roles and self.role_caps else found

    def _largest_for(self, roles: Iterable[str]) -> Caps:
        own = [self.role_caps[role] for role in roles if role in self.role_caps]
        if not own:
            return self.caps
        return own[0] if len(own) == 1 else largest(own)

    def budgets_for(
        self, principal: str, roles: Iterable[str], model: str, client_roles: Iterable[str] = ()
    ) -> tuple[Budget, ...]:
        """All that a question must fit into. A budget of the principal's own replaces one for each.

        *client_roles*: as in `caps_for`; the budgets of these count, too.
        """
        if not self.budgets:
            return ()
        held, name = frozenset(roles).union(client_roles), self.aliases.get(model, model)
        own = {(one.per, one.counts_money) for one in self.budgets if one.principal == principal}
        found = []
        for one in self.budgets:
            if one.principal == EACH:
                if (one.per, one.counts_money) not in own:
                    found.append(one.of(principal))
            elif one.principal in (None, principal) and one.model in (None, name) and (one.role is None or one.role in held):
                found.append(one)
        return tuple(found)
