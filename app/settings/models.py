"""Which models answer, and how they are asked."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from ..catalogue.values import PLACEHOLDERS, BaseUrl, Seconds, StreamSeconds, is_key

TEMPERATURE, EMBEDDED_TEMPERATURE = 0.7, 0.0
"""Where LLM_TEMPERATURE is not set."""


class ModelSettings(BaseModel):
    """The policy file, or the one server that needs none."""

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

    @field_validator("openai_api_key")
    @classmethod
    def _verify_api_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value() in PLACEHOLDERS:
            raise ValueError("is still the placeholder: set your key, or leave it empty for the embedded model")
        if value is not None and not is_key(value.get_secret_value()):
            raise ValueError("holds other than visible ASCII characters: set the key alone")
        return value

    @model_validator(mode="after")
    def _verify_one_policy(self) -> ModelSettings:
        if self.policy_file is not None and self.models_file is not None:
            raise ValueError("POLICY_FILE and MODELS_FILE are both set: keep POLICY_FILE; the other is its older name")
        return self

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
