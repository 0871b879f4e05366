"""A change over the network must leave somebody who can make the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..security.models import Client
from ..security.roles import ADMIN
from .operator import Operator


class LastAdmin(InvalidInput):
    code = "last_admin"
    detail = f"Nobody else has the role {ADMIN}: give it to another client first, or use the commands on the server."


@dataclass(frozen=True, slots=True)
class RemoteOperator(Operator):
    """Refuses, before the record, what would leave no enabled client with the role of admins.

    It looks within the transaction of the change, which holds the write lock: two admins cannot
    disable each other.
    """

    def verify_left(self, client_id: str, several: Sequence[Client]) -> None:
        """Raises LastAdmin."""
        if {one.client_id for one in several if not one.disabled and ADMIN in one.roles} == {client_id}:
            raise LastAdmin
