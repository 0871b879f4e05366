"""The models that callers may name, the servers that answer for them, and the caps of each role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

ENDPOINTS = ("chat", "responses", "embeddings")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served."""

    name: str
    base_url: str | None
    """None is OpenAI."""
    api_key: str = field(repr=False)
    """An empty one is not sent."""
    stream_usage: bool = True
    """Whether `stream_options.include_usage` may be sent: old servers refuse what they do not know."""
    params: frozenset[str] | None = None
    """The only parameters that it may be given; None: any."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    alias: str
    """What callers say."""
    model: str
    """What the server knows."""
    server: Server
    roles: frozenset[str] | None = None
    """Who may use it; None is everyone who may ask."""
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
    models: Mapping[str, ModelEntry]
    caps: Caps
    """For everyone whose roles have none of their own."""
    role_caps: Mapping[str, Caps]
    refused_params: frozenset[str]
    created: int = 0
    """Unix seconds of the models file's last change; 0 where there is none."""

    def model_for(self, alias: str, roles: Iterable[str], endpoint: str | None = None) -> ModelEntry | None:
        """None where it is unknown, or not for these roles or this endpoint: the caller is not told which."""
        entry = self.models.get(alias)
        if entry is None or not entry.is_for(roles) or (endpoint is not None and endpoint not in entry.endpoints):
            return None
        return entry

    def visible_to(self, roles: Iterable[str]) -> list[ModelEntry]:
        """In the file's order."""
        known = frozenset(roles)
        return [entry for entry in self.models.values() if entry.is_for(known)]

    def caps_for(self, roles: Iterable[str]) -> Caps:
        """The largest of each cap among those of *roles* that have some: these may be lower than what everyone has."""
        own = [self.role_caps[role] for role in roles if role in self.role_caps]
        if not own:
            return self.caps
        return Caps(*(max(getattr(caps, cap.name) for caps in own) for cap in fields(Caps)))
