"""Who may call, and the record of what was done. Inside the package, import from the modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the type of what __getattr__ imports below
    from .manager import SecurityManager as SecurityManager

__all__ = ["SecurityManager"]


def __getattr__(name: str) -> Any:
    """Import the manager at its first use (PEP 562).

    It loads JWT and SQLAlchemy: 0.2 s and 30 MB. The notary process needs only the security log.
    """
    if name == "SecurityManager":
        from .manager import SecurityManager  # late: at its first use

        return SecurityManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
