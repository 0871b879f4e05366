"""What LangSmith reads of the environment."""

from __future__ import annotations

import os


def forget_tracing_settings() -> None:
    """Remove what would send prompts to LangSmith, or models to a gateway, from the environment."""
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_"))]:
        del os.environ[name]
