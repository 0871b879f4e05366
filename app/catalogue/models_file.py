"""MODELS_FILE: which models exist, where each is served, and who may use it how much."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from .caps import Caps
from .models import ENDPOINTS, Catalogue, ModelEntry, Server
from .refused_values import reason_of
from .tables import ModelsFile, ModelTable, ServerTable
from .values import PLACEHOLDERS, is_key

MAX_FILE_BYTES = 1 << 20
"""Thousands of models fit; a log or a database that was named by mistake does not."""
EXAMPLE = "models.example.toml"


def read_models(path: Path, environment: Mapping[str, str], caps: Caps, refused_params: frozenset[str]) -> Catalogue:
    """Read the models file at *path*, and the keys of its servers from *environment*.

    Raises ConfigError with one sentence for each problem. No sentence repeats a value of the file
    or the environment, because an API key may have been written in the wrong place.
    """
    raw, created = _read(path)
    file = _validated(path, raw)
    keys = {name: environment.get(table.api_key_env or "", "").strip() for name, table in file.servers.items()}
    problems = _server_problems(file.servers, keys) + _model_problems(file)
    if problems:
        raise _refusal(path, problems)
    servers = {name: table.server(name, keys[name]) for name, table in file.servers.items()}
    models = {name: _entry(name, table, servers) for name, table in file.models.items()}
    aliases = {alias: name for name, table in file.models.items() for alias in table.aliases}
    role_caps = {role: table.over(caps) for role, table in file.caps.items()}
    server_side = {role: frozenset(names) for role, names in file.server_side.items()}
    sha256 = hashlib.sha256(raw).hexdigest()
    return Catalogue(models, caps, role_caps, refused_params, created, sha256, role_server_side=server_side, aliases=aliases)


def read_roles(path: Path) -> frozenset[str]:
    """The roles that the models file at *path* names. Needs no keys. Raises ConfigError."""
    file = _validated(path, _read(path)[0])
    named = [role for table in file.models.values() for role in table.roles or ()]
    return frozenset(named).union(file.caps, file.server_side)


def _entry(name: str, table: ModelTable, servers: Mapping[str, Server]) -> ModelEntry:
    return ModelEntry(
        name,
        table.model or name,
        servers[table.server],
        None if table.roles is None else frozenset(table.roles),
        frozenset(table.endpoints or ENDPOINTS),
        tuple(table.aliases),
        table.max_output_tokens,
        table.default_output_tokens,
        table.context_tokens,
        None if table.over_cap is None else table.over_cap == "clamp",
    )


def _validated(path: Path, raw: bytes) -> ModelsFile:
    document = _parse(path, raw)
    try:
        return ModelsFile.model_validate(document)
    except ValidationError as error:
        raise _refusal(path, [_sentence(problem) for problem in error.errors(include_input=False)]) from None


def _read(path: Path) -> tuple[bytes, int]:
    """The file, and the time of its last change in Unix seconds."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
            created = int(os.fstat(opened.fileno()).st_mtime)
    except OSError as error:
        raise _refusal(path, [f"cannot be read ({error.strerror}): name a file that this user may read"]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise _refusal(path, ["is larger than 1 MiB: name the file of the models"])
    return raw, created


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(raw.decode())
    except UnicodeDecodeError:
        raise _refusal(path, ["is not UTF-8: save it again as UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        # The message may quote the file, and so a key. Only the position at its end is repeated.
        message = str(error)
        place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)$", message)
        twice = "gives a table or a key twice" if message.startswith("Cannot ") else "is not TOML"
        raise _refusal(path, [f"{twice}, at {place[1] if place else 'an unknown place'}: correct it there"]) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, deeply nested brackets
        raise _refusal(path, [f"holds a value that no models file needs: {EXAMPLE} shows all keys"]) from None


def _server_problems(servers: Mapping[str, ServerTable], keys: Mapping[str, str]) -> list[str]:
    problems = []
    for name, table in servers.items():
        key, where = keys[name], _table("servers", name)
        variable = f"{where} api_key_env names an environment variable that"
        if table.api_key_env is None and table.base_url is None:
            problems.append(f"{where} is OpenAI, which needs a key: add api_key_env, or base_url for another server")
        elif table.api_key_env is not None and not key:
            problems.append(f"{variable} is not set, or empty: set it, or remove api_key_env if the server needs no key")
        elif key in PLACEHOLDERS:
            problems.append(f"{variable} is still the placeholder: set your key there")
        elif not is_key(key):
            problems.append(f"{variable} holds other than visible ASCII characters: set the key alone there")
    return problems


def _model_problems(file: ModelsFile) -> list[str]:
    if not file.models:
        return ["names no model: add a table [models.NAME] with its server"]
    problems, taken = [], set(file.models)
    for name, table in file.models.items():
        where = _table("models", name)
        if table.server not in file.servers:
            what = "names a server without a table: add [servers.NAME] for it, or name one that exists"
            problems.append(f"{where} server {what}")
        if len({*table.aliases} - taken) < len(table.aliases):
            problems.append(f"{where} aliases holds a name that stands twice in the file: each is one model's")
        taken.update(table.aliases)
    return problems


def _refusal(path: Path, problems: list[str]) -> ConfigError:
    """One line for each problem, after the file's name."""
    return ConfigError(
        "\n".join(f"MODELS_FILE {path}{':' * problem.startswith('[')} {problem}." for problem in dict.fromkeys(problems))
    )


def _sentence(problem: Any) -> str:
    """One of pydantic's findings as a sentence: table, key, what to do."""
    kind, loc = problem["type"], [part for part in problem["loc"] if part != "[key]" and isinstance(part, str)]
    where = " ".join([_table(*loc[:2]), *map(_key, loc[2:])])
    if kind == "missing":
        return f"{where} is missing: {EXAMPLE} shows it"
    if kind in ("dict_type", "model_type"):
        return f"{where} is not a table: {EXAMPLE} shows it"
    if kind == "extra_forbidden":
        if loc[0] != "caps" and re.search("key|token(?!s)|secret|pass", loc[-1], re.IGNORECASE):
            return f"{where} is refused, because keys belong in the environment: set a variable, and name it in api_key_env"
        return f"{where} is unknown: {EXAMPLE} shows all keys"
    return f"{where} {reason_of(problem)}"


def _table(*names: str) -> str:
    return "[" + ".".join(map(_key, names)) + "]"


def _key(name: str) -> str:
    """As TOML writes it, quoted unless it is a bare key; on one line, at most 200 characters."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", name) else json.dumps(name[:200])
