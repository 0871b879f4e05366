"""A start that fails for a known cause is told in its sentence, and not by a traceback."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import AppError

LOG = logging.getLogger("app.serving")
OF_PROGRAMS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError)
"""No network and no setting raises these: where one is the cause, the sentence may be wrong."""
FAILED = "lifespan.startup.failed"


class PlainStart:
    """Around an ASGI application (ASGI lifespan 2.0). Faults of ours keep their traceback."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failures = list[Any]()

        async def send_or_keep(message: Any) -> None:
            if message["type"] == FAILED:
                failures.append(message)
            else:
                await send(message)

        try:
            await self._app(scope, receive, send_or_keep)
        except AppError as error:
            if not failures:
                raise
            if isinstance(error.__cause__, OF_PROGRAMS):
                LOG.error("The start failed unexpectedly.", exc_info=error.__cause__)
            failures = [{"type": FAILED, "message": error.detail}]
        finally:
            for message in failures:
                await send(message)
