"""The policy file: which models exist, who serves each, who may use it how much, for what money."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from .caps import Caps
from .models import ENDPOINTS, Catalogue, ModelEntry, ServedBy, Server
from .policy_problems import key_problems, problems_of
from .policy_sentences import EXAMPLE, sentence_of
from .policy_values import zone_named
from .tables import ModelTable, PolicyFile

MAX_FILE_BYTES = 1 << 20
"""Thousands of models fit; a log or a database that was named by mistake does not."""


def read_policy(path: Path, environment: Mapping[str, str] | None, caps: Caps, refused_params: frozenset[str]) -> Catalogue:
    """Read the policy file at *path*, and the keys of its servers from *environment*.

    None: no key is looked for. Raises ConfigError with one sentence for each problem. No sentence
    repeats a value of the file or the environment, because an API key may have been written in the
    wrong place.
    """
    raw, created = _read(path)
    file = _validated(path, raw)
    keys = _keys(file, environment or {})
    if problems := [*problems_of(file), *(key_problems(file.servers, keys) if environment is not None else ())]:
        raise _refusal(path, problems)
    return _catalogue(file, keys, caps, refused_params, created, raw)


def read_key_problems(path: Path, environment: Mapping[str, str]) -> list[str]:
    """One sentence for each server whose key *environment* lacks. Raises ConfigError."""
    file = _validated(path, _read(path)[0])
    return [f"{problem}." for problem in key_problems(file.servers, _keys(file, environment))]


def read_roles(path: Path) -> frozenset[str]:
    """The roles that the policy file at *path* names. Needs no keys. Raises ConfigError."""
    file = _validated(path, _read(path)[0])
    named = [role for table in file.models.values() for role in table.roles or ()]
    named += [budget.role for budget in file.budgets if budget.role is not None]
    return frozenset(named).union(file.caps, file.server_side)


def _keys(file: PolicyFile, environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment.get(table.api_key_env or "", "").strip() for name, table in file.servers.items()}


def _catalogue(
    file: PolicyFile, keys: Mapping[str, str], caps: Caps, refused_params: frozenset[str], created: int, raw: bytes
) -> Catalogue:
    servers = {name: table.server(name, keys[name]) for name, table in file.servers.items()}
    return Catalogue(
        {name: _entry(name, table, servers) for name, table in file.models.items()},
        caps,
        {role: table.over(caps) for role, table in file.caps.items()},
        refused_params,
        created,
        hashlib.sha256(raw).hexdigest(),
        role_server_side={role: frozenset(names) for role, names in file.server_side.items()},
        aliases={alias: name for name, table in file.models.items() for alias in table.aliases},
        prices={name: table.price() for name, table in file.prices.items()},
        budgets=tuple(table.budget() for table in file.budgets),
        currency=file.currency,
        time_zone=zone_named(file.time_zone),
        retries=file.retries.rules(),
        breaker=file.breaker.rules(),
    )


def _entry(name: str, table: ModelTable, servers: Mapping[str, Server]) -> ModelEntry:
    usual = table.model or name
    served = tuple(ServedBy(servers[one.name], one.weight, one.model or usual) for one in table.served_by)
    return ModelEntry(
        name,
        served[0].model,
        served[0].server,
        None if table.roles is None else frozenset(table.roles),
        frozenset(table.endpoints or ENDPOINTS),
        tuple(table.aliases),
        table.max_output_tokens,
        table.default_output_tokens,
        table.context_tokens,
        None if table.over_cap is None else table.over_cap == "clamp",
        served,
        tuple(table.fallback),
        table.timeout_seconds,
        table.tokens_per_minute,
        table.hedge_after_seconds,
    )


def _validated(path: Path, raw: bytes) -> PolicyFile:
    document = _parse(path, raw)
    try:
        return PolicyFile.model_validate(document)
    except ValidationError as error:
        raise _refusal(path, [sentence_of(problem) for problem in error.errors(include_input=False)]) from None


def _read(path: Path) -> tuple[bytes, int]:
    """The file, and the time of its last change in Unix seconds."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
            created = int(os.fstat(opened.fileno()).st_mtime)
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror}): name a file that this user may read") from None
    if len(raw) > MAX_FILE_BYTES:
        raise _unusable(path, "is larger than 1 MiB: name the file of the policy")
    return raw, created


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(raw.decode(), parse_float=Decimal)  # money is never a float
    except UnicodeDecodeError:
        raise _unusable(path, "is not UTF-8: save it again as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The message may quote the file, and so a key. Only the position at its end is repeated.
        message = str(error)
        place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)$", message)
        twice = "gives a table or a key twice" if message.startswith("Cannot ") else "is not TOML"
        raise _unusable(path, f"{twice}, at {place[1] if place else 'an unknown place'}: correct it there") from None
    except (ValueError, ArithmeticError, RecursionError):  # a number of thousands of digits, deeply nested brackets
        raise _unusable(path, f"holds a value that no policy file needs: {EXAMPLE} shows all keys") from None


def _refusal(path: Path, problems: Iterable[str]) -> ConfigError:
    """Of what stands in the file, one line for each problem."""
    return ConfigError("\n".join(f"Policy file {path}: {problem}." for problem in dict.fromkeys(problems)))


def _unusable(path: Path, problem: str) -> ConfigError:
    """Of the file itself."""
    return ConfigError(f"Policy file {path} {problem}.")
