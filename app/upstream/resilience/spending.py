"""What the loop of attempts asks of budgets. app.upstream knows none: this is their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..call import PreparedCall


class Spending(Protocol):
    """Of one question. What its first attempt may cost is reserved before the loop begins."""

    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        """Before each further attempt: None if the budgets do not bear it besides those before it.

        Otherwise it is reserved on return for the next try that begins, and the result is what
        `ask.attempted` is to hold of it. An empty one needs no record.
        """


class Unlimited:
    """No budget is in force."""

    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        return {}


UNLIMITED = Unlimited()
