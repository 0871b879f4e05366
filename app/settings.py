"""All settings: the environment over `.env` in the current folder. A bad value stops the start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .catalogue.refused_values import reason_of
from .catalogue.values import (
    PLACEHOLDERS,
    BaseUrl,
    BodyBytes,
    CharacterCount,
    HeaderName,
    LogName,
    MessageCount,
    Network,
    OverCap,
    ParamName,
    PerMinute,
    PublicUrl,
    Seconds,
    ServerSideName,
    SqliteUrl,
    StreamSeconds,
    TokenCount,
    is_key,
    sqlite_path,
)
from .errors import ConfigError
from .kit.command import command
from .kit.named_paths import verify_differ, verify_writable
from .kit.web_origin import normal_origin

ENV_FILE = ".env"
NEW_SECRET = f"{command('init')} writes a new one into .env; or set 43 random characters yourself"

TEMPERATURE, EMBEDDED_TEMPERATURE = 0.7, 0.0
"""Where LLM_TEMPERATURE is not set."""
MAX_TOKEN_HOURS = 24 * 30
"""Also how long a revocation made by hand must last: no token lives longer."""


class Settings(BaseSettings):
    """Upper case in the environment. Relative paths are relative to the current folder."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # Identity
    secret_key: SecretStr
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    jwt_issuer: str = Field("secure-ai-assistant", min_length=1, max_length=200)
    jwt_audience: str = Field("secure-ai-assistant", min_length=1, max_length=200)
    token_expiry_hours: float = Field(1, ge=1 / 3600, le=MAX_TOKEN_HOURS)
    database_url: SqliteUrl = "sqlite+aiosqlite:///./logs/clients.sqlite3"
    budgets_url: SqliteUrl | None = None

    # Rate limits
    rate_limit: PerMinute = 60
    address_rate_limit: PerMinute = 600

    # Users of front ends
    asserted_user_header: HeaderName = ""
    asserted_user_fields: Annotated[tuple[Literal["email", "name"], ...], NoDecode] = ()
    asserted_user_rate_limit: PerMinute | None = None

    # Audit log
    audit_log_path: Path = Path("./logs/audit_log.jsonl")
    audit_key_path: Path = Path("./logs/audit_log.key")
    audit_origin: LogName = ""
    audit_refusals_per_minute: int = Field(300, ge=1, le=100_000)
    audit_recheck_bytes_per_second: int = Field(10_000_000, ge=1_000, le=10_000_000_000)
    audit_long_texts: Literal["digest", "keep"] = "digest"
    audit_stream: Literal["live", "buffer"] = "live"
    security_log_path: Path = Path("./logs/security.log")

    # Models
    policy_file: Path | None = None
    models_file: Path | None = None
    openai_api_key: SecretStr | None = None
    openai_base_url: BaseUrl | None = None
    llm_model: str = Field("gpt-4o-mini", min_length=1, max_length=200)
    llm_temperature: float | None = Field(None, ge=0, le=2)
    llm_max_tokens: int = Field(1000, ge=1, le=1_000_000)
    llm_timeout_seconds: Seconds = 600
    llm_stream_timeout_seconds: StreamSeconds = 3600
    system_prompt: str = Field("You are a helpful assistant. Answer briefly and truthfully.", max_length=20_000)

    # Endpoints
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
    shutdown_notice_seconds: float = Field(0, ge=0, le=600)
    shutdown_grace_seconds: float = Field(30, ge=1, le=3600)

    @field_validator(
        *("cors_origins", "trusted_proxies", "v1_refused_params", "v1_server_side", "asserted_user_fields"), mode="before"
    )
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _strip(cls, value: object, info: ValidationInfo) -> object:
        """`echo key > secret` ends in a newline, which no value needs. A prompt is left alone.

        An empty value means the same as none, where there need not be one.
        """
        if not isinstance(value, str) or info.field_name == "system_prompt":
            return value
        needs_none = cls.model_fields[str(info.field_name)].default is None
        return value.strip() or (None if needs_none else "")

    @field_validator("secret_key")
    @classmethod
    def _verify_secret(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if secret in PLACEHOLDERS:
            raise ValueError(f"is still the placeholder: {NEW_SECRET}")
        if len(secret.encode()) < 32:  # RFC 7518, section 3.2: at least the size of the hash
            raise ValueError(f"is shorter than 32 bytes: {NEW_SECRET}")
        return value

    @field_validator("openai_api_key")
    @classmethod
    def _verify_api_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value() in PLACEHOLDERS:
            raise ValueError("is still the placeholder: set your key, or leave it empty for the embedded model")
        if value is not None and not is_key(value.get_secret_value()):
            raise ValueError("holds other than visible ASCII characters: set the key alone")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _verify_cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(dict.fromkeys(map(normal_origin, value)))
        except ValueError:
            what = "such as https://app.example.com or app://desktop, separated by commas; * as in moz-extension://* only"
            raise ValueError(f"takes origins {what}") from None

    @model_validator(mode="after")
    def _verify_secret_fits_algorithm(self) -> Settings:
        if len(self.secret_key.get_secret_value().encode()) * 8 < int(self.jwt_algorithm[2:]):  # RFC 7518, section 3.2
            raise ValueError(f"SECRET_KEY is too short for {self.jwt_algorithm}: {NEW_SECRET}, or use HS256")
        return self

    @model_validator(mode="after")
    def _verify_one_policy(self) -> Settings:
        if self.policy_file is not None and self.models_file is not None:
            raise ValueError("POLICY_FILE and MODELS_FILE are both set: keep POLICY_FILE; the other is its older name")
        return self

    @model_validator(mode="after")
    def _verify_paths(self) -> Settings:
        log = self.audit_log_path
        verify_writable("AUDIT_LOG_PATH", log)
        verify_differ(
            {
                "AUDIT_LOG_PATH": log,
                "the lock of AUDIT_LOG_PATH": log.with_name(log.name + ".lock"),
                "AUDIT_KEY_PATH": self.audit_key_path,
                "SECURITY_LOG_PATH": self.security_log_path,
                "DATABASE_URL": self.database_path,
                "BUDGETS_URL": sqlite_path(self.budgets_url or ""),
                "MODELS_FILE" if self.policy_file is None else "POLICY_FILE": self.policy_path,
            }
        )
        if self.security_log_path.is_dir():
            raise ValueError(f"SECURITY_LOG_PATH {self.security_log_path} is a folder: name a file in it")
        return self

    @property
    def database_path(self) -> Path:
        """The absolute path of the file that DATABASE_URL names."""
        path = sqlite_path(self.database_url)
        assert path is not None, "verified with the settings"
        return path

    @property
    def policy_path(self) -> Path | None:
        """The policy file, by whichever name it is set."""
        return self.policy_file or self.models_file

    @property
    def is_embedded(self) -> bool:
        """Whether the small model on this machine answers: no policy file, no key, no URL."""
        return self.policy_path is None and self.openai_api_key is None and self.openai_base_url is None

    @property
    def temperature(self) -> float:
        """Of /ask. Only the likeliest words of the small embedded model are any good."""
        if self.llm_temperature is not None:
            return self.llm_temperature
        return EMBEDDED_TEMPERATURE if self.is_embedded else TEMPERATURE


def load_settings(**overrides: object) -> Settings:
    """Raises ConfigError with one sentence for each setting that is refused."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic reads the rest from the environment
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(problem) for problem in error.errors(include_input=False))) from None
    except UnicodeDecodeError:
        raise ConfigError(".env is not UTF-8: save it again as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f".env cannot be read ({error.strerror}): change its rights, or the folder you start in.") from None


def read_environment() -> dict[str, str]:
    """The environment over `.env`. Unlike the names of settings, these keep their case."""
    from_file = {name: value for name, value in dotenv_values(ENV_FILE).items() if value is not None}
    return from_file | dict(os.environ)


def _sentence(problem: object) -> str:
    """One of pydantic's findings as a sentence about the setting, without its value."""
    assert isinstance(problem, dict)
    name = str(next(iter(problem["loc"]), "")).upper()
    if problem["type"] == "missing":
        return f"{name} is not set: {NEW_SECRET}."
    if name:
        return f"{name} {reason_of(problem)}."
    return str(problem["msg"]).removeprefix("Value error, ") + "."  # of several settings, which it names
