"""The models that callers may name, the servers that serve them, and the caps of each role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

EndpointName = Literal["chat", "responses", "embeddings", "completions", "messages"]
ENDPOINTS: tuple[str, ...] = get_args(EndpointName)
ProtocolName = Literal["openai", "anthropic"]
Auth = Literal["bearer", "x-api-key"]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served."""

    name: str
    base_url: str | None
    """None is OpenAI."""
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


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model under the name that callers use."""

    alias: str
    """The name that callers use."""
    model: str
    """The name that the server uses."""
    server: Server
    roles: frozenset[str] | None = None
    """The roles that may use it; None is everyone who may ask."""
    endpoints: frozenset[str] = frozenset(ENDPOINTS)

    def is_for(self, roles: Iterable[str]) -> bool:
        return self.roles is None or not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a request may be, and how long its answer."""

    body_bytes: int
    messages: int
    message_chars: int
    """Unicode code points in one message."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every model that this service offers, and how much each role may ask for."""

    models: Mapping[str, ModelEntry]
    """By alias, in the order in which they are listed."""
    caps: Caps
    """For a principal without a role that has caps of its own."""
    role_caps: Mapping[str, Caps]
    refused_params: frozenset[str]
    created: int = 0
    """When the models file was last changed, in Unix seconds; 0 where there is none."""
    sha256: str = ""
    """Of the models file; empty where there is none."""
    server_side: frozenset[str] = frozenset()
    """What everyone may have run or kept on a model's server: names of tools and of content."""
    role_server_side: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What else each role may."""

    def model_for(self, alias: str, roles: Iterable[str], endpoint: str | None = None) -> ModelEntry | None:
        """None if it is unknown, or not for these roles or endpoint: callers see no difference."""
        entry = self.models.get(alias)
        if entry is None or not entry.is_for(roles) or (endpoint is not None and endpoint not in entry.endpoints):
            return None
        return entry

    def visible_to(self, roles: Iterable[str]) -> list[ModelEntry]:
        """In the order of the models file."""
        known = frozenset(roles)
        return [entry for entry in self.models.values() if entry.is_for(known)]

    def server_side_for(self, roles: Iterable[str]) -> frozenset[str]:
        if not self.role_server_side:  # nearly always
            return self.server_side
        return self.server_side.union(*(self.role_server_side.get(role, ()) for role in roles))

    def caps_for(self, roles: Iterable[str]) -> Caps:
        """The largest of each cap among the roles with caps of their own, which may be lower."""
        own = [self.role_caps[role] for role in roles if role in self.role_caps]
        if not own:
            return self.caps
        return Caps(*(max(getattr(caps, cap.name) for caps in own) for cap in fields(Caps)))
