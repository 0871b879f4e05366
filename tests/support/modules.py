"""The modules of the application that can be imported without an effect."""

from __future__ import annotations

import pkgutil
from functools import cache

import app

RUN_BY_OTHERS = ("app.__main__", "app.security.clients.migrations.env")
"""Importing these runs a command or a migration."""


@cache
def module_names() -> list[str]:
    """All but those, by name."""
    return [module.name for module in pkgutil.walk_packages(app.__path__, "app.") if module.name not in RUN_BY_OTHERS]
