"""One setting, for who reads no others: of the environment, or else of `.env`."""

from __future__ import annotations

import os

from dotenv import dotenv_values

ENV_FILE = ".env"


def setting(name: str) -> str | None:
    """Its text; None where it is not set. *name* is in upper case; the setting's may be in any.

    What is wrong with the file is left to the reader of all settings.
    """
    found = {one.upper(): value for one, value in os.environ.items()}.get(name)
    if found is not None:
        return found
    try:
        return {one.upper(): value for one, value in dotenv_values(ENV_FILE).items()}.get(name)
    except (OSError, UnicodeDecodeError):
        return None
