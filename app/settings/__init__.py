"""All settings: the environment over `.env` in the current folder. A bad value stops the start."""

from .identity import MAX_TOKEN_HOURS
from .models import TEMPERATURE
from .settings import ENV_FILE, Settings, load_settings, read_environment

__all__ = ["ENV_FILE", "MAX_TOKEN_HOURS", "TEMPERATURE", "Settings", "load_settings", "read_environment"]
