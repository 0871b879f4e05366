"""Where the class of chat model is that a server's `langchain = "…"` names. Imports nothing."""

from __future__ import annotations

import re
from importlib.util import find_spec

from ...errors import ConfigError

CLASSES = {
    "azure_openai": "langchain_openai:AzureChatOpenAI",
    "bedrock": "langchain_aws:ChatBedrock",
    "bedrock_converse": "langchain_aws:ChatBedrockConverse",
    "google_vertexai": "langchain_google_vertexai:ChatVertexAI",
    "openai": "langchain_openai:ChatOpenAI",
}
"""Where a package has several chat models. Any other NAME is the only one in langchain_NAME."""
_FORM = re.compile(r"[a-z][a-z0-9_]{0,99}(:[A-Za-z][A-Za-z0-9_]{0,99})?")


def place_of(server: str, provider: str) -> tuple[str, str]:
    """The module and the class, which is empty where the module has only one.

    *provider*: `NAME`, or `MODULE:CLASS`. Raises ConfigError, also if it is not installed.
    """
    if not _FORM.fullmatch(provider):
        raise ConfigError(f"[servers.{server}] langchain takes a name such as anthropic, or MODULE:CLASS.")
    place = CLASSES.get(provider) or (provider if ":" in provider else f"langchain_{provider}")
    module, _, name = place.partition(":")
    if find_spec(module) is None:
        package = module.replace("_", "-")
        what = f"needs the package {package}, which is not installed: install it beside this service"
        raise ConfigError(f'[servers.{server}] langchain = "{provider}" {what}.')
    return module, name
