"""What the operator can set: the environment, then `.env` in the current folder; refused at start if it cannot hold."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .catalogue.models import Caps, Catalogue, ModelEntry, Server
from .catalogue.models_file import read_models
from .catalogue.values import PLACEHOLDERS, BodyBytes, CharacterCount, MessageCount, TokenCount, http_address
from .errors import ConfigError

ENV_FILE = ".env"
NEW_SECRET = "python -m app init writes a fresh one into a new .env; or set 43 random characters yourself"  # noqa: S105 - a sentence

MAX_TOKEN_HOURS = 24 * 30


def _origin_name(value: str) -> str:
    """C2SP signed-note: a key name holds no space and no plus."""
    if value and (re.search(r"[\s+]", value) or len(value) > 200):
        raise ValueError("takes at most 200 characters without spaces and without +")
    return value


class Settings(BaseSettings):
    """All settings, upper case in the environment. Relative paths are relative to the current folder."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # Who may
    secret_key: SecretStr
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    jwt_issuer: str = Field("secure-ai-assistant", min_length=1, max_length=200)
    jwt_audience: str = Field("secure-ai-assistant", min_length=1, max_length=200)
    token_expiry_hours: float = Field(1, ge=1 / 3600, le=MAX_TOKEN_HOURS)
    database_url: str = "sqlite+aiosqlite:///./logs/clients.sqlite3"

    # How often
    rate_limit: int = Field(60, ge=1, le=10_000_000)
    address_rate_limit: int = Field(600, ge=1, le=10_000_000)

    # What is written down
    audit_log_path: Path = Path("./logs/audit_log.jsonl")
    audit_key_path: Path = Path("./logs/audit_log.key")
    audit_origin: Annotated[str, AfterValidator(_origin_name)] = ""
    audit_refusals_per_minute: int = Field(300, ge=1, le=100_000)
    audit_long_texts: Literal["digest", "keep"] = "digest"
    audit_stream: Literal["live", "buffer"] = "live"
    security_log_path: Path = Path("./logs/security.log")

    # The models
    models_file: Path | None = None
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    llm_model: str = Field("gpt-4o-mini", min_length=1, max_length=200)
    llm_temperature: float = Field(0.7, ge=0, le=2)
    llm_max_tokens: int = Field(1000, ge=1, le=1_000_000)
    llm_timeout_seconds: float = Field(30, gt=0, le=3600)
    llm_stream_timeout_seconds: float = Field(600, gt=0, le=86_400)
    system_prompt: str = Field("You are a helpful assistant. Answer briefly and truthfully.", max_length=20_000)

    # The doors
    v1_max_body_bytes: BodyBytes = 8 << 20
    v1_max_messages: MessageCount = 1000
    v1_max_message_chars: CharacterCount = 500_000
    v1_max_tokens: TokenCount = 4096
    v1_refused_params: Annotated[tuple[str, ...], NoDecode] = ()
    stream_keepalive_seconds: float = Field(10, gt=0, le=600)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    docs_enabled: bool = True

    _catalogue: Catalogue = PrivateAttr()

    @field_validator("cors_origins", "trusted_proxies", "v1_refused_params", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("openai_api_key", "openai_base_url", "models_file", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("secret_key")
    @classmethod
    def _secret_holds(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if secret in PLACEHOLDERS:
            raise ValueError(f"is still the placeholder: {NEW_SECRET}")
        if len(secret.encode()) < 32:  # RFC 7518, section 3.2: at least the size of the hash
            raise ValueError(f"is shorter than 32 bytes: {NEW_SECRET}")
        return value

    @field_validator("openai_api_key")
    @classmethod
    def _key_is_real(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value() in PLACEHOLDERS:
            raise ValueError("is still the placeholder: set your key, or leave it empty for the embedded model")
        return value

    @field_validator("openai_base_url")
    @classmethod
    def _base_url_is_http(cls, value: str | None) -> str | None:
        return None if value is None else http_address(value)

    @field_validator("v1_refused_params")
    @classmethod
    def _params_are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in value):
            raise ValueError("takes names of parameters such as logit_bias, separated by commas")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[^\s/*]+", origin):
                raise ValueError("takes origins such as https://app.example.com, separated by commas; no *")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError("takes addresses or networks such as 10.0.0.0/8, separated by commas") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _database_is_async(cls, value: str) -> str:
        if not value.startswith("sqlite+aiosqlite://"):
            raise ValueError("takes sqlite+aiosqlite:///path/to/file; other databases come later")
        return value

    @model_validator(mode="after")
    def _secret_fits_algorithm(self) -> Settings:
        if len(self.secret_key.get_secret_value().encode()) * 8 < int(self.jwt_algorithm[2:]):  # RFC 7518, section 3.2
            raise ValueError(f"SECRET_KEY is too short for {self.jwt_algorithm}: {NEW_SECRET}, or use HS256")
        return self

    @model_validator(mode="after")
    def _audit_path_can_be_written(self) -> Settings:
        path = self.audit_log_path
        try:
            if path.is_dir():
                raise ValueError(f"AUDIT_LOG_PATH {path} is a folder: name a file in it")
            nearest = next(folder for folder in path.absolute().parents if folder.exists())
            target = path if path.exists() else nearest
            can_be_written = nearest.is_dir() and os.access(target, os.W_OK)
        except OSError:  # below a folder that is not ours to look into
            target, can_be_written = path.parent, False
        if not can_be_written:
            raise ValueError(f"AUDIT_LOG_PATH {path} cannot be written by this user: change it, or the rights of {target}")
        return self

    @model_validator(mode="after")
    def _files_differ(self) -> Settings:
        log = self.audit_log_path.absolute()
        database = Path(self.database_url.partition(":///")[2].partition("?")[0]).absolute()
        taken = {log: "AUDIT_LOG_PATH", log.with_name(log.name + ".lock"): "the lock of AUDIT_LOG_PATH"}
        others = {"AUDIT_KEY_PATH": self.audit_key_path, "SECURITY_LOG_PATH": self.security_log_path, "DATABASE_URL": database}
        if self.models_file is not None:
            others["MODELS_FILE"] = self.models_file
        for name, path in others.items():
            if path.absolute() in taken:
                raise ValueError(f"{name} names the same file as {taken[path.absolute()]}: give each a file of its own")
            taken[path.absolute()] = name
        if self.security_log_path.is_dir():
            raise ValueError(f"SECURITY_LOG_PATH {self.security_log_path} is a folder: name a file in it")
        return self

    @model_validator(mode="after")
    def _catalogue_is_read(self) -> Settings:
        """Once, so that every worker has the same, whatever becomes of the file. Raises ConfigError."""
        caps = Caps(self.v1_max_body_bytes, self.v1_max_messages, self.v1_max_message_chars, self.v1_max_tokens)
        refused = frozenset(self.v1_refused_params)
        if self.models_file is None:
            key = self.openai_api_key.get_secret_value() if self.openai_api_key else ""
            entry = ModelEntry(self.llm_model, self.llm_model, Server("default", self.openai_base_url, key))
            self._catalogue = Catalogue({entry.alias: entry}, caps, {}, refused)
            return self
        found = read_models(self.models_file, _environment(), caps, refused)
        asked = [alias for alias, entry in found.models.items() if "chat" in entry.endpoints]
        if self.llm_model not in asked:
            what = f"set it to one, such as {asked[0]}" if asked else f"add one to {self.models_file}"
            raise ValueError(f"LLM_MODEL, which /ask uses, is no alias of MODELS_FILE with the endpoint chat: {what}")
        self._catalogue = found
        return self

    @property
    def catalogue(self) -> Catalogue:
        """What MODELS_FILE said when these settings were loaded; without one LLM_MODEL alone, for everyone."""
        return self._catalogue

    @property
    def is_embedded(self) -> bool:
        """No models file, no key, no URL: the small model on this machine answers."""
        return self.models_file is None and self.openai_api_key is None and self.openai_base_url is None


def load_settings(**overrides: object) -> Settings:
    """Read environment and `.env`. Raises ConfigError with one sentence for each setting that cannot be used."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic reads the rest from the environment
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(problem) for problem in error.errors(include_input=False))) from None
    except UnicodeDecodeError:
        raise ConfigError(".env is not UTF-8: save it again as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f".env cannot be read ({error.strerror}): change its rights, or the folder you start in.") from None


def _environment() -> dict[str, str]:
    """Where the keys of the models file's servers are looked up: as settings are, but with the case as it is written."""
    written = {name: value for name, value in dotenv_values(ENV_FILE).items() if value is not None}
    return written | dict(os.environ)


def load_log_settings() -> Settings:
    """For what has to do with the log and the clients only: the models' servers, and their keys, may be unknown there."""
    return load_settings(models_file=None)


def _sentence(problem: object) -> str:
    assert isinstance(problem, dict)
    name = ".".join(str(part) for part in problem["loc"]).upper()
    if problem["type"] == "missing":
        return f"{name} is not set: {NEW_SECRET}."
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name} {message[:1].lower() + message[1:]}.".strip() if name else f"{message}."
