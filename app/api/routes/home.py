"""GET /: where a browser that knows only the address of the service goes next."""

from __future__ import annotations

from fastapi import FastAPI, Response
from starlette.responses import RedirectResponse

from ...settings import Settings


def add_home(app: FastAPI, settings: Settings) -> None:
    """To the console, else to the documentation; where neither is served there is nothing at /."""
    page = "console" if settings.console_enabled else "docs" if settings.docs_enabled else None
    if page is None:
        return

    async def home() -> Response:
        """Relative, so that a proxy may serve all of this beneath a prefix."""
        return RedirectResponse(page, 307)

    app.add_api_route("/", home, methods=["GET", "HEAD"], include_in_schema=False)
