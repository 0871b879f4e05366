"""Who may call, and what proves it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from ..catalogue.values import PLACEHOLDERS, DatabaseUrl, HeaderName, PerMinute, sqlite_path
from ..kit.command import command
from ..kit.postgres_url import PostgresUrl

NEW_SECRET = f"{command('init')} writes a new one into .env; or set 43 random characters yourself"
MAX_TOKEN_HOURS = 24 * 30
"""Also how long a revocation made by hand must last: no token lives longer."""


class IdentitySettings(BaseModel):
    """Tokens, clients, and the users that front ends name."""

    secret_key: SecretStr
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    jwt_issuer: str = Field("secure-ai-assistant", min_length=1, max_length=200)
    jwt_audience: str = Field("secure-ai-assistant", min_length=1, max_length=200)
    token_expiry_hours: float = Field(1, ge=1 / 3600, le=MAX_TOKEN_HOURS)
    database_url: DatabaseUrl = Field("sqlite+aiosqlite:///./logs/clients.sqlite3", repr=False)
    database_password_file: Path | None = None
    asserted_user_header: HeaderName = ""
    asserted_user_fields: Annotated[tuple[Literal["email", "name"], ...], NoDecode] = ()
    asserted_user_rate_limit: PerMinute | None = None

    @field_validator("secret_key")
    @classmethod
    def _verify_secret(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if secret in PLACEHOLDERS:
            raise ValueError(f"is still the placeholder: {NEW_SECRET}")
        if len(secret.encode()) < 32:  # RFC 7518, section 3.2: at least the size of the hash
            raise ValueError(f"is shorter than 32 bytes: {NEW_SECRET}")
        return value

    @model_validator(mode="after")
    def _verify_secret_fits_algorithm(self) -> IdentitySettings:
        if len(self.secret_key.get_secret_value().encode()) * 8 < int(self.jwt_algorithm[2:]):  # RFC 7518, section 3.2
            raise ValueError(f"SECRET_KEY is too short for {self.jwt_algorithm}: {NEW_SECRET}, or use HS256")
        return self

    @model_validator(mode="after")
    def _verify_password_file(self) -> IdentitySettings:
        if self.database_password_file is not None and self.database_path is not None:
            raise ValueError("DATABASE_PASSWORD_FILE is set, but DATABASE_URL names a file, which needs none")
        return self

    @property
    def database(self) -> Path | PostgresUrl:
        """Where the clients are: the absolute path of a file, or a server."""
        return sqlite_path(self.database_url) or PostgresUrl(self.database_url, "DATABASE_URL", self.database_password_file)

    @property
    def database_path(self) -> Path | None:
        """The absolute path of the file that DATABASE_URL names; None where it names no file."""
        return sqlite_path(self.database_url)
