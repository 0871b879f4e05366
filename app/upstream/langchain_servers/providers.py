"""The class of chat model that asks a server, and the names that it takes."""

from __future__ import annotations

import importlib

from langchain_core.language_models import BaseChatModel

from ...errors import ConfigError
from .installed import place_of


def load(server: str, provider: str) -> type[BaseChatModel]:
    """Imports it, which may take a second. Raises ConfigError. Arguments as of `place_of`."""
    module_name, name = place_of(server, provider)
    module = importlib.import_module(module_name)
    found = [getattr(module, one, None) for one in ([name] if name else dir(module))]
    kinds = {one for one in found if isinstance(one, type) and issubclass(one, BaseChatModel) and one is not BaseChatModel}
    if len(kinds) != 1:
        what = f"finds {len(kinds)} chat models in {module_name}: write {module_name}:CLASS"
        raise ConfigError(f'[servers.{server}] langchain = "{provider}" {what}.')
    return kinds.pop()


def names_of(kind: type[BaseChatModel]) -> dict[str, str]:
    """The names that the class takes, its own and their aliases, and the field that each sets."""
    fields = kind.model_fields
    return {field.alias: name for name, field in fields.items() if field.alias} | {name: name for name in fields}
