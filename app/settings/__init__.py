"""All settings: the environment over `.env` in the current folder. A bad value stops the start."""

from ..kit.environment import ENV_FILE
from .identity import MAX_TOKEN_HOURS
from .models import TEMPERATURE
from .settings import Settings, load_settings, read_environment

__all__ = ["ENV_FILE", "MAX_TOKEN_HOURS", "TEMPERATURE", "Settings", "load_settings", "read_environment"]
