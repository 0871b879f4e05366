"""All settings in one class, how they are read, and what holds between those of several groups."""

from __future__ import annotations

import os

from dotenv import dotenv_values
from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ..catalogue.refused_values import reason_of
from ..catalogue.values import sqlite_path
from ..errors import ConfigError
from ..kit.environment import ENV_FILE
from ..kit.named_paths import verify_differ, verify_writable
from .audit import AuditSettings
from .endpoints import EndpointSettings
from .identity import NEW_SECRET, IdentitySettings
from .limits import LimitSettings
from .models import ModelSettings
from .observation import ObservationSettings


class Settings(
    ObservationSettings,
    EndpointSettings,
    ModelSettings,
    AuditSettings,
    LimitSettings,
    IdentitySettings,
    BaseSettings,
):
    """Upper case in the environment. Relative paths are relative to the current folder."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True, hide_input_in_errors=True
    )

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
    def has_nodes(self) -> bool:
        """Whether several machines may serve together: one of their stores is on a server."""
        return self.database_path is None or self.ledger is not None or self.limits_url is not None


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
