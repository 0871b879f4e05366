"""MODELS_FILE: which models exist, where each is served, and who may use it how much."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError
from .findings import reason_of
from .models import ENDPOINTS, Auth, Caps, Catalogue, EndpointName, ModelEntry, ProtocolName, Server
from .values import (
    PLACEHOLDERS,
    BaseUrl,
    BodyBytes,
    CharacterCount,
    MessageCount,
    Name,
    NonEmpty,
    Role,
    ServerSideName,
    TokenCount,
    VariableName,
    is_key,
)

MAX_FILE_BYTES = 1 << 20
"""Thousands of models fit; a log or a database that was named by mistake does not."""
EXAMPLE = "models.example.toml"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ServerTable(_Table):
    base_url: BaseUrl | None = None
    api_key_env: VariableName | None = None
    stream_usage: bool = True
    retry_idle_close: bool = True
    protocols: NonEmpty[ProtocolName] | None = None
    auth: Auth | None = None


class ModelTable(_Table):
    server: str
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    roles: NonEmpty[Role] | None = None
    endpoints: NonEmpty[EndpointName] | None = None


class CapsTable(_Table):
    body_bytes: BodyBytes | None = None
    messages: MessageCount | None = None
    message_chars: CharacterCount | None = None
    tokens: TokenCount | None = None


class ModelsFile(_Table):
    servers: dict[Name, ServerTable]
    models: dict[Name, ModelTable]
    caps: dict[Role, CapsTable] = {}
    server_side: dict[Role, list[ServerSideName]] = {}


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
    servers = {
        name: Server(
            name,
            t.base_url,
            keys[name],
            t.stream_usage,
            retry_idle_close=t.retry_idle_close,
            protocols=frozenset(t.protocols) if t.protocols else None,
            auth=t.auth,
        )
        for name, t in file.servers.items()
    }
    models = {alias: _entry(alias, table, servers) for alias, table in file.models.items()}
    role_caps = {role: replace(caps, **table.model_dump(exclude_none=True)) for role, table in file.caps.items()}
    server_side = {role: frozenset(names) for role, names in file.server_side.items()}
    sha256 = hashlib.sha256(raw).hexdigest()
    return Catalogue(models, caps, role_caps, refused_params, created, sha256, role_server_side=server_side)


def read_roles(path: Path) -> frozenset[str]:
    """The roles that the models file at *path* names. Needs no keys. Raises ConfigError."""
    file = _validated(path, _read(path)[0])
    named = [role for table in file.models.values() for role in table.roles or ()]
    return frozenset(named).union(file.caps, file.server_side)


def _entry(alias: str, table: ModelTable, servers: Mapping[str, Server]) -> ModelEntry:
    roles = None if table.roles is None else frozenset(table.roles)
    return ModelEntry(alias, table.model or alias, servers[table.server], roles, frozenset(table.endpoints or ENDPOINTS))


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
        return ["names no model: add a table [models.ALIAS] with its server"]
    return [
        f"{_table('models', alias)} server names a server without a table: add [servers.NAME] for it, or name one that exists"
        for alias, table in file.models.items()
        if table.server not in file.servers
    ]


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
        if loc[0] != "caps" and re.search("key|token|secret|pass", loc[-1], re.IGNORECASE):
            return f"{where} is refused, because keys belong in the environment: set a variable, and name it in api_key_env"
        return f"{where} is unknown: {EXAMPLE} shows all keys"
    return f"{where} {reason_of(problem)}"


def _table(*names: str) -> str:
    return "[" + ".".join(map(_key, names)) + "]"


def _key(name: str) -> str:
    """As TOML writes it, quoted unless it is a bare key; on one line, at most 200 characters."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", name) else json.dumps(name[:200])
