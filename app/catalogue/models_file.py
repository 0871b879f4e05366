"""Which models there are, where each is served, who may use it and how far: the operator's MODELS_FILE, read once at start."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError
from .models import ENDPOINTS, Caps, Catalogue, ModelEntry, Server
from .values import (
    PLACEHOLDERS,
    BodyBytes,
    CharacterCount,
    MessageCount,
    Name,
    Role,
    TokenCount,
    _base_url,
    _not_empty,
    _variable,
)

MAX_FILE_BYTES = 1 << 20

# --- what the rest of the house knows ----------------------------------------------------------------


# --- what a value may be: settings check theirs with the same ----------------------------------------


# --- the file ----------------------------------------------------------------------------------------


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ServerTable(_Table):
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    api_key_env: Annotated[str, AfterValidator(_variable)] | None = None
    stream_usage: bool = True


class ModelTable(_Table):
    server: str
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    roles: Annotated[list[Role], AfterValidator(_not_empty)] | None = None
    endpoints: Annotated[list[Literal["chat", "responses", "embeddings"]], AfterValidator(_not_empty)] | None = None


class CapsTable(_Table):
    body_bytes: BodyBytes | None = None
    messages: MessageCount | None = None
    message_chars: CharacterCount | None = None
    tokens: TokenCount | None = None


class ModelsFile(_Table):
    servers: dict[Name, ServerTable]
    models: dict[Name, ModelTable]
    caps: dict[Role, CapsTable] = {}


def read_models(path: Path, environment: Mapping[str, str], caps: Caps, refused_params: frozenset[str]) -> Catalogue:
    """Read MODELS_FILE; the keys of its servers come from *environment*.

    Raises ConfigError: a sentence a problem, which names table and key and says what to do. It repeats no value of the
    file and none of the environment: where a key was written in the wrong place, it must not come out in a log.
    """
    document, created = _parse(path)
    try:
        file = ModelsFile.model_validate(document)
    except ValidationError as error:
        raise _refusal(path, [_sentence(problem) for problem in error.errors(include_input=False)]) from None
    keys = {name: environment.get(table.api_key_env or "", "").strip() for name, table in file.servers.items()}
    problems = _server_problems(file.servers, keys) + _model_problems(file)
    if problems:
        raise _refusal(path, problems)
    servers = {name: Server(name, t.base_url, keys[name], t.stream_usage) for name, t in file.servers.items()}
    models = {alias: _entry(alias, table, servers) for alias, table in file.models.items()}
    role_caps = {role: replace(caps, **table.model_dump(exclude_none=True)) for role, table in file.caps.items()}
    return Catalogue(models, caps, role_caps, refused_params, created)


def _entry(alias: str, table: ModelTable, servers: Mapping[str, Server]) -> ModelEntry:
    roles = None if table.roles is None else frozenset(table.roles)
    return ModelEntry(alias, table.model or alias, servers[table.server], roles, frozenset(table.endpoints or ENDPOINTS))


def _parse(path: Path) -> tuple[dict[str, Any], int]:
    """The document, and when the file was last changed."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
            created = int(os.fstat(opened.fileno()).st_mtime)
    except OSError as error:
        raise _refusal(path, [f"cannot be read ({error.strerror}): name a file that this user may read"]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise _refusal(path, ["is larger than 1 MiB: name the file of the models"])
    try:
        return tomllib.loads(raw.decode()), created
    except UnicodeDecodeError:
        raise _refusal(path, ["is not UTF-8: save it again as UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)  # its words can hold a piece of the file; its place cannot
        place = re.search(r"\(at (line [0-9]+, column [0-9]+|end of document)\)$", message)
        twice = "gives a table or a key twice" if message.startswith("Cannot ") else "is not TOML"
        raise _refusal(path, [f"{twice}, at {place[1] if place else 'some place'}: mend it there"]) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, a tower of brackets
        raise _refusal(path, ["holds what no models file needs: see models.example.toml"]) from None


def _server_problems(servers: Mapping[str, ServerTable], keys: Mapping[str, str]) -> list[str]:
    problems = []
    for name, table in servers.items():
        key, named = keys[name], f"{_table('servers', name)} api_key_env names an environment variable that"
        if table.api_key_env is None and table.base_url is None:
            problems.append(f"{_table('servers', name)} is OpenAI, which wants a key: add api_key_env, or base_url for another")
        elif table.api_key_env is not None and not key:
            problems.append(f"{named} is not set, or empty: set it, or take api_key_env out if the server wants no key")
        elif key in PLACEHOLDERS:
            problems.append(f"{named} is still the placeholder: set your key there")
        elif not re.fullmatch(r"[\x21-\x7e]*", key):
            problems.append(f"{named} holds other than visible ASCII characters: set the key alone there")
    return problems


def _model_problems(file: ModelsFile) -> list[str]:
    if not file.models:
        return ["names no model: add a table [models.ALIAS] with its server"]
    return [
        f"{_table('models', alias)} server names a server without a table: add [servers.NAME] for it, or name one that is there"
        for alias, table in file.models.items()
        if table.server not in file.servers
    ]


# --- how a problem is told ---------------------------------------------------------------------------


def _refusal(path: Path, problems: list[str]) -> ConfigError:
    return ConfigError(
        "\n".join(f"MODELS_FILE {path}{':' * problem.startswith('[')} {problem}." for problem in dict.fromkeys(problems))
    )


def _sentence(problem: Any) -> str:
    """What pydantic found, in our words: table, key, what to do."""
    kind, loc = problem["type"], [part for part in problem["loc"] if part != "[key]" and isinstance(part, str)]
    where = " ".join([_table(*loc[:2]), *map(_key, loc[2:])])
    if kind == "missing":
        return f"{where} is missing: models.example.toml shows it"
    if kind in ("dict_type", "model_type"):
        return f"{where} is not a table: models.example.toml shows it"
    if kind == "extra_forbidden":
        if loc[0] != "caps" and re.search("key|token|secret|pass", loc[-1], re.IGNORECASE):
            return f"{where} has no place here, keys stay in the environment: set a variable there, and name it in api_key_env"
        return f"{where} is not known here: models.example.toml shows all that is"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where} {message[:1].lower() + message[1:]}"


def _table(*names: str) -> str:
    return "[" + ".".join(map(_key, names)) + "]"


def _key(name: str) -> str:
    """As it may stand in the file: on one line, whatever is in it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", name) else json.dumps(name[:200])
