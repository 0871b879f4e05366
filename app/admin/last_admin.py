"""A change over the network must leave somebody who can make the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..security.roles import ADMIN
from .operator import Operator


class LastAdmin(InvalidInput):
    code = "last_admin"
    detail = f"Nobody else has the role {ADMIN}: give it to another client first, or use the commands on the server."


@dataclass(frozen=True, slots=True)
class RemoteOperator(Operator):
    """Refuses, before the record, what would leave no enabled client with the role of admins.

    A record is made within the transaction of its change, which holds the write lock: two admins
    cannot disable each other.
    """

    async def record(self, action: str, **details: Any) -> None:
        """As of Operator. Raises LastAdmin too."""
        if action == "client.disabled" or (action == "client.roles_set" and ADMIN not in details["roles"]):
            admins = {one.client_id for one in await self.store.list_all() if not one.disabled and ADMIN in one.roles}
            if admins == {details["client_id"]}:
                raise LastAdmin
        await Operator.record(self, action, **details)
