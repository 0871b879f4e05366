"""The bodies of /admin/…: what is sent, and what comes back."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from ..admin.clients import ClientSecret
from ..admin.keys import AddedKey
from ..audit.format.record import USER_ID
from ..catalogue.caps import MAX_PER_MINUTE
from ..catalogue.role_names import MAX_ROLE_LENGTH
from ..kit.moments import iso
from ..security.api_keys.form import ID_DIGITS
from ..security.models import ApiKey, Client
from ..security.roles import ASK, MAX_ROLES
from ..settings import MAX_TOKEN_HOURS

ClientId = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{USER_ID.pattern}$"})]
KeyId = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^[0-9A-Za-z]{{{ID_DIGITS}}}$"})]
Jti = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{32}$"})]
Role = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^[a-z.]{{1,{MAX_ROLE_LENGTH}}}$"})]
"""Described here, and refused by the change itself, in its own words."""
Rpm = Annotated[int, Field(ge=1, le=MAX_PER_MINUTE)]
TokenSeconds = Annotated[int, Field(ge=1, le=MAX_TOKEN_HOURS * 3600)]
SOME_ROLES: dict[str, Any] = {"minItems": 1, "maxItems": MAX_ROLES}
YEAR_SECONDS = 366 * 24 * 3600
MAX_KEY_SECONDS = 100 * YEAR_SECONDS


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class NewClient(Asked):
    client_id: ClientId
    roles: list[Role] = Field(default=[ASK], json_schema_extra=SOME_ROLES, description="Left out: it may ask.")
    key: bool = Field(False, description="Make an API key too.")
    token_seconds: TokenSeconds | None = None
    rpm: Rpm | None = None
    front_end: bool = False
    allow_unknown_role: bool = False


class NewRoles(Asked):
    roles: list[Role] = Field(json_schema_extra=SOME_ROLES)
    allow_unknown_role: bool = False


class NewSettings(Asked):
    """Those that are left out stay; null: those of the service apply."""

    token_seconds: TokenSeconds | None = None
    rpm: Rpm | None = None
    front_end: bool | None = None


class WhichSecret(Asked):
    newer: bool = Field(False, description="Of two: the newer, not the older.")


class NewApiKey(Asked):
    client_id: ClientId
    roles: list[Role] = Field(
        default=[], json_schema_extra={"maxItems": MAX_ROLES}, description="Some of the client's; left out, all of them."
    )
    name: str | None = None
    rpm: Rpm | None = None
    expires_in: Annotated[int, Field(ge=1, le=MAX_KEY_SECONDS)] | None = Field(None, description="Seconds.")


class NamedServer(Asked):
    server: str


class ClientBody(BaseModel):
    client_id: str
    roles: list[str]
    disabled: bool
    created_at: str
    token_seconds: int | None
    rpm: int | None
    front_end: bool
    secrets: int = Field(description="How many are live: 1 or 2.")


class ClientsBody(BaseModel):
    clients: list[ClientBody]


class SecretBody(BaseModel):
    """Shown once: only a digest is stored."""

    client_id: str
    client_secret: str
    roles: list[str]
    key_id: str | None = None
    key: str | None = None


class ApiKeyBody(BaseModel):
    key_id: str
    client_id: str
    roles: list[str]
    name: str | None
    rpm: int | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class ApiKeysBody(BaseModel):
    keys: list[ApiKeyBody]


class AddedKeyBody(BaseModel):
    """Shown once: only a digest is stored."""

    key_id: str
    key: str
    client_id: str
    roles: list[str]
    expires_at: str | None
    name: str | None


def client_body(one: Client) -> dict[str, Any]:
    own = {"token_seconds": one.settings.token_seconds, "rpm": one.settings.rpm, "front_end": one.settings.front_end}
    rest = {"created_at": iso(one.created_at), **own, "secrets": one.secrets}
    return {"client_id": one.client_id, "roles": list(one.roles), "disabled": one.disabled, **rest}


def secret_body(added: ClientSecret) -> dict[str, Any]:
    key = {} if added.key is None else added.key._asdict()
    return {"client_id": added.client_id, "client_secret": added.secret, "roles": list(added.roles), **key}


def key_body(one: ApiKey) -> dict[str, Any]:
    times = {name: getattr(one, name) for name in ("created_at", "expires_at", "revoked_at")}
    texts = {name: None if time is None else iso(time) for name, time in times.items()}
    named = {"key_id": one.key_id, "client_id": one.client_id, "roles": list(one.roles), "name": one.name}
    return {**named, "rpm": one.rpm, **texts}


def added_key_body(added: AddedKey) -> dict[str, Any]:
    expires_at = None if added.expires_at is None else iso(added.expires_at)
    named = {"key_id": added.key_id, "key": added.key, "client_id": added.client_id, "roles": list(added.roles)}
    return {**named, "expires_at": expires_at, "name": added.name}
