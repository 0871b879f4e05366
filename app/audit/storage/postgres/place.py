"""Where a ledger on PostgreSQL is, and which node asks. Imports no driver."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = "audit"
"""All tables and functions of the ledger stand in this schema. A retired log has another."""


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """`postgresql://…`, as libpq takes it."""

    url: str = field(repr=False)  # it may hold a password
    password_file: Path | None = None
    """Read at each connection, so that a password can be changed without a restart."""
    node: str = ""
    """The name of this node, whose older services are fenced."""
    incarnation: int | None = None
    """All processes of one running service share it, and no other has it. None: of a command."""
    admin_url: str | None = field(default=None, repr=False)
    """Of an administrator, for the commands that change the ledger itself."""
    schema: str = SCHEMA
    is_single_primary: bool = False
    """The operator says that no standby may take over."""
