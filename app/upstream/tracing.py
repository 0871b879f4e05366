"""What LangSmith and SDKs read of the environment, and must not."""

from __future__ import annotations

import os
from collections.abc import Callable


def forget_tracing_settings() -> None:
    """Remove what would send prompts to LangSmith, or models to a gateway, from the environment."""
    _forget(lambda name: name.startswith(("LANGSMITH_", "LANGCHAIN_")))


def forget_proxies() -> None:
    """Remove every proxy from the environment: our settings alone decide where questions go."""
    _forget(lambda name: name.upper().endswith("_PROXY"))


def disable_tracing() -> None:
    """Make sure that no prompt goes to LangSmith, whatever the environment says.

    Works before and after LangChain's import. `LANGSMITH_*` and `LANGCHAIN_*`, which can also
    reroute models to a gateway, are removed from the environment; LangSmith's cached copy is
    dropped; and the switch that outranks them is set for this process.
    """
    import langsmith  # late: it takes a while, and most services never need it
    import langsmith.utils  # late: as above

    forget_tracing_settings()
    langsmith.utils.get_env_var.cache_clear()  # type: ignore[attr-defined]  # lru_cache hidden by the overloads
    langsmith.configure(enabled=False)


def _forget(is_unwanted: Callable[[str], bool]) -> None:
    for name in filter(is_unwanted, list(os.environ)):
        del os.environ[name]
