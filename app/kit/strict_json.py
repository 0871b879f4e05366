"""Strict JSON (RFC 8259): UTF-8, no byte order mark, NaN, duplicate members or deep nesting."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

import orjson

MAX_DEPTH = 64
"""Levels of lists and objects below the outermost value."""


def parse(data: bytes) -> Any:
    """Parse *data*. Raises ValueError with a reason that repeats nothing of the input.

    Most clients write JSON as orjson does. Where it writes the same bytes again, no member can have
    come twice and no number can have changed, so that the slower parser need not look.
    """
    try:
        value = orjson.loads(data)
        if orjson.dumps(value) == data:
            verify_depth(value, data)
            return value
    except (orjson.JSONDecodeError, TypeError):
        pass  # the parser below says why
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except _Refused as refused:
        raise ValueError(str(refused)) from None
    except ValueError:  # int() refuses numbers of thousands of digits
        raise ValueError("it holds a number that is too long") from None
    verify_depth(value, data)
    return value


def verify_depth(value: Any, data: bytes) -> None:
    """Raises ValueError if *value*, parsed from *data*, is nested deeper than MAX_DEPTH.

    orjson cannot encode deep nesting. The walk is skipped where *data* has too few brackets for it.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    containers = [value]  # all lists and objects at this depth
    while containers:
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        containers = [child for one in containers for child in _children(one) if isinstance(child, dict | list)]
        depth += 1


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class _Refused(Exception):
    pass


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("an object has a member twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # 1e999, which would be sent on as another number
        raise _Refused("it holds a number that is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused("NaN and Infinity are not JSON")
