"""What the loop of attempts asks of budgets. app.upstream knows none: this is their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..call import PreparedCall


class Spending(Protocol):
    """Of one question. What its first attempt may cost is reserved before the loop begins."""

    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        """Before each further attempt: None if the budgets do not bear it besides those before it.

        Otherwise it is reserved on return, and the result is what `ask.attempted` is to hold of it.
        An empty one needs no record.
        """

    def ended(self, call: PreparedCall, *, is_free: bool) -> None:
        """An attempt ended without an answer. *is_free*: its server cannot have generated any.

        Not called for the attempt that answered, nor for one that a timeout or the caller ended.
        """


class Unlimited:
    """No budget is in force."""

    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        return {}

    def ended(self, call: PreparedCall, *, is_free: bool) -> None: ...


UNLIMITED = Unlimited()
