"""The addresses that there are, for a caller who asked for one that is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from ..errors import NotFound

API_KEY = "api_key"


async def description_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description. Made once, in a thread: it takes a sixth of a second."""
    if not hasattr(app.state, "description"):
        app.state.description = await asyncio.to_thread(_described, app)
    description: dict[str, Any] = app.state.description
    return description


def _described(app: FastAPI) -> dict[str, Any]:
    """As FastAPI makes it, with API keys: a second scheme on the routes would slow each request."""
    description = app.openapi()
    schemes = description.get("components", {}).get("securitySchemes")
    if schemes and API_KEY not in schemes:
        schemes[API_KEY] = {"type": "http", "scheme": "bearer", "description": "A key (saa_…), or a token."}
        for methods in description["paths"].values():
            for operation in methods.values():
                if "security" in operation:
                    operation["security"].append({API_KEY: []})
    return description


def nothing_at(path: str, described: Mapping[str, Mapping[str, Any]]) -> NotFound:
    """Names the addresses that begin as *path* does; without any, those that take a POST.

    *described*: the methods of each address, as in the `paths` of an OpenAPI description.
    """
    known = [(method.upper(), address) for address, methods in described.items() for method in methods]
    begin = _first_segment(path)
    near = [f"{method} {address}" for method, address in known if _first_segment(address) == begin]
    if near:
        return NotFound(f"{NotFound.detail} At /{begin} there are {', '.join(near)}.")
    asked = [f"{method} {address}" for method, address in known if method == "POST"]
    return NotFound(f"{NotFound.detail} There are {', '.join(asked)}." if asked else None)


def _first_segment(path: str) -> str:
    return path.lstrip("/").partition("/")[0]
