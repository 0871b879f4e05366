"""Several Observers as one."""

from __future__ import annotations

from collections.abc import Sequence

from ..assistant.models import Origin, Trace
from ..assistant.observer import Ended, Observer, Watch
from ..audit.format.record import Receipt
from ..security.models import Principal
from ..upstream.call import PreparedCall


class Observers:
    """At most one of them has a trace."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self.wants_all = any(one.wants_all for one in observers)

    def begin(self, call: PreparedCall, origin: Origin, principal: Principal) -> Watch:
        return _Watches([one.begin(call, origin, principal) for one in self._observers])


class _Watches:
    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    @property
    def trace(self) -> Trace | None:
        return next((one.trace for one in self._watches if one.trace is not None), None)

    def recorded(self, action: str, began: float, receipt: Receipt) -> None:
        for one in self._watches:
            one.recorded(action, began, receipt)

    def ended(self, how: Ended) -> None:
        for one in self._watches:
            one.ended(how)

    def left(self) -> None:
        for one in self._watches:
            one.left()
