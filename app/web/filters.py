"""The parameters of a search: read strictly, each named in its error."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from fastapi import Request

from ..audit.format.record import ACTIONS, USER_ID
from ..audit.index.search import MAX_FOUND, Filter
from ..errors import InvalidRequest
from ..security.roles import is_user_id

NAMES = ("user", "action", "model", "text", "since", "until", "before", "limit")
NUMBERS = ("before", "limit")
OF_A_FEED = NAMES[:3]
OF_AN_EXPORT = (*NAMES[:6], "format")
MAX_TEXT = 200
MOST = 10**15
DAY_MS = 86_400_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = re.compile(rf"{_DAY.pattern}[Tt]{_HOUR}:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]{_HOUR})")
"""RFC 3339, section 5.6, without leap seconds. Python reads many forms more."""
TEXT = {"type": "string", "maxLength": MAX_TEXT, "pattern": "^[^\\u0000]*$"}
EMPTY = {"type": "string", "maxLength": 0}
"""As if it were left out."""
USER = {"type": "string", "pattern": f"^({USER_ID.pattern})?$"}
DAY = {"anyOf": [{"type": "string", "format": "date"}, EMPTY]}
MOMENT = {"anyOf": [*DAY["anyOf"], {"type": "string", "format": "date-time"}]}
BEFORE = {"type": "integer", "minimum": 1, "maximum": MOST}
PARAMETERS: list[dict[str, Any]] = [
    {"name": "user", "in": "query", "schema": USER, "description": "Another's records need ai.audit.reader."},
    {"name": "action", "in": "query", "schema": {"type": "string", "enum": [*sorted(ACTIONS), ""]}},
    {"name": "model", "in": "query", "schema": TEXT},
    {"name": "text", "in": "query", "schema": TEXT, "description": "Words, or the beginnings of words; all must be there."},
    {"name": "since", "in": "query", "schema": MOMENT, "description": "A day, or a time with its offset (RFC 3339)."},
    {"name": "until", "in": "query", "schema": MOMENT, "description": "As since; a day is included."},
    {"name": "before", "in": "query", "schema": BEFORE, "description": "Only records of a lower number."},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "default": 50}},
]


def filter_of(request: Request, names: tuple[str, ...] = NAMES) -> Filter:
    """*names*: what may be given. Raises InvalidRequest.

    An empty text or time counts as left out.
    """
    given = request.query_params.multi_items()
    values = {name: value for name, value in given if value or name in NUMBERS}
    if len(dict(given)) != len(given) or not {name for name, _ in given} <= set(names):
        raise InvalidRequest(f"The parameters are {', '.join(names)}, each at most once.")
    if any(len(value) > MAX_TEXT or "\x00" in value for value in values.values()):
        raise InvalidRequest(f"A parameter has at most {MAX_TEXT} characters.")
    user, action = user_of(values.get("user")), values.get("action")
    if action is not None and action not in ACTIONS:
        raise InvalidRequest("action is one of those that docs/reference/records.md lists, such as ask.answered.")
    return Filter(
        user,
        action,
        values.get("model"),
        values.get("text"),
        _moment("since", values.get("since"), 0),
        _moment("until", values.get("until"), DAY_MS),
        _number("before", values.get("before"), MOST),
        _number("limit", values.get("limit"), MAX_FOUND) or 50,
    )


def user_of(text: str | None) -> str | None:
    """Raises InvalidRequest."""
    if text and not is_user_id(text):
        raise InvalidRequest("user is the name of a principal, such as alice.")
    return text or None


def day_of(request: Request, name: str, default: str) -> str:
    """Raises InvalidRequest."""
    text = request.query_params.get(name, "") or default
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "").isoformat()
    except ValueError:
        raise InvalidRequest(f"{name} is a day, such as 2026-11-26.") from None


def _number(name: str, text: str | None, most: int) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or text[0] == "0" or int(text) > most:
        raise InvalidRequest(f"{name} is a number from 1 to {most:,}.")
    return int(text)


def _moment(name: str, text: str | None, of_day: int) -> int | None:
    """Milliseconds since 1970. *of_day*: so many are added to a day, which has no time."""
    if text is None:
        return None
    is_day = _DAY.fullmatch(text) is not None
    try:
        found = datetime.fromisoformat(text.upper() if is_day or _TIME.fullmatch(text) else "")
    except ValueError:
        raise InvalidRequest(f"{name} is a day, or a time such as 2026-11-26T09:15:00Z.") from None
    return round(found.replace(tzinfo=found.tzinfo or UTC).timestamp() * 1000) + (of_day if is_day else 0)
