"""What pydantic found wrong in the policy file, as sentences that name table and key.

No sentence repeats a value, because an API key may have been written in the wrong place.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel

from .refused_values import reason_of
from .tables import PolicyFile

EXAMPLE = "policy.example.toml"
COUNTED = ("caps", "prices", "budgets")
"""Tables of numbers: a key like "token" in them is a slip, and no secret."""


def sentence_of(problem: Any) -> str:
    """One of pydantic's findings: table, key, what to do."""
    kind, loc = problem["type"], [part for part in problem["loc"] if part != "[key]"]
    where = _place(loc)
    names = [part for part in loc if isinstance(part, str)]
    if kind == "missing":
        return f"{where} is missing: {EXAMPLE} shows it"
    if kind in ("dict_type", "model_type"):
        return f"{where} is not a table: {EXAMPLE} shows it"
    if kind == "list_type" and loc == ["budgets"]:
        return f"{where} is written with two brackets, [[budgets]], once for each budget"
    if kind == "extra_forbidden":
        if names[0] not in COUNTED and re.search("key|token(?!s)|secret|pass", names[-1], re.IGNORECASE):
            return f"{where} is refused, because keys belong in the environment: set a variable, and name it in api_key_env"
        return f"{where} is unknown: {EXAMPLE} shows all keys"
    return f"{where} {reason_of(problem)}"


def _place(loc: list[str | int]) -> str:
    """Such as `[models.fast] server`, `[[budgets]] number 2 per`, `[retries] most`, `currency`."""
    names = [part for part in loc if isinstance(part, str)]
    if names[0] == "budgets" and len(loc) > 1 and isinstance(loc[1], int):
        return " ".join([budget_number(loc[1]), *map(key, names[1:])])
    field = PolicyFile.model_fields.get(names[0])
    if field is not None and isinstance(field.default, str):
        return names[0]
    tables = 1 if field is not None and isinstance(field.default, BaseModel) else 2
    return " ".join([table(*names[:tables]), *map(key, names[tables:])])


def budget_number(index: int) -> str:
    return f"[[budgets]] number {index + 1}"


def table(*names: str) -> str:
    return "[" + ".".join(map(key, names)) + "]"


def key(name: str) -> str:
    """As TOML writes it, quoted unless it is a bare key; on one line, at most 200 characters."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", name) else json.dumps(name[:200])
