"""Who may, and what was done. The menu; inside the package import from the modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .manager import SecurityManager as SecurityManager

__all__ = ["SecurityManager"]


def __getattr__(name: str) -> Any:
    """Loaded at first use, so that a module of this package can be imported without all the others (PEP 562)."""
    if name == "SecurityManager":
        from .manager import SecurityManager

        return SecurityManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
