"""The addresses that there are, for a caller who asked for one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import NotFound


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
