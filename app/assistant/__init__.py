"""The thinking part. The menu; inside the package import from the modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assistant import SecureAIAssistant as SecureAIAssistant

__all__ = ["SecureAIAssistant"]


def __getattr__(name: str) -> Any:
    """Loaded at first use, so that a module of this package can be imported without all the others (PEP 562)."""
    if name == "SecureAIAssistant":
        from .assistant import SecureAIAssistant

        return SecureAIAssistant
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
