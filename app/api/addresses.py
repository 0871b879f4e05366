"""The addresses that there are, for a caller who asked for one that is not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..errors import NotFound


def nothing_at(path: str, routes: Iterable[Any]) -> NotFound:
    """Names the addresses that begin as *path* does; without any, those that take a POST."""
    known = [
        (method, re.sub(r":\w+}", "}", route.path))
        for route in routes
        if getattr(route, "include_in_schema", False)
        for method in sorted(getattr(route, "methods", None) or ())
    ]
    begin = _first_segment(path)
    near = [one for one in known if _first_segment(one[1]) == begin] or [one for one in known if one[0] == "POST"]
    if not near:
        return NotFound()
    where = f"At /{begin} there are" if _first_segment(near[0][1]) == begin else "There are"
    return NotFound(f"{NotFound.detail} {where} {', '.join(f'{method} {address}' for method, address in near)}.")


def _first_segment(path: str) -> str:
    return path.lstrip("/").partition("/")[0]
