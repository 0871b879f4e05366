"""Every endpoint of the application, found in itself, with a good request for each."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app.api.description import described
from app.main import create_app
from app.settings import load_settings

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": MODEL, "messages": MESSAGES, "max_tokens": 9, "tools": [], "stream": False},
    "/v1/responses": {"model": MODEL, "input": [{"type": "message", **MESSAGES[0]}], "metadata": {"a": "b"}},
    "/v1/embeddings": {"model": MODEL, "input": ["hi", "ho"]},
    "/v1/completions": {"model": MODEL, "prompt": "hi", "n": 1},
    "/v1/messages": {"model": MODEL, "messages": MESSAGES, "max_tokens": 9, "system": "x", "stream": True},
    "/v1/messages/count_tokens": {"model": MODEL, "messages": MESSAGES},
}
"""Where the description says less than a good body needs."""
VICTIM = "bobby"
"""The client that is changed: the one that calls goes on."""
EXAMPLES: dict[str, Any] = {
    "client_id": VICTIM,
    "key_id": "0" * 11,
    "jti": "0123456789abcdef" * 2,
    "seq": "0",
    "address": "0/000.p/1",
    "model": MODEL,
    "query": "hi",
    "roles": ["ai.playground.user"],
    "grant_type": "client_credentials",
    "token": "x.y.z",
    "text": "hi",
    "user": "olga",
    "since": "2026-01-01",
    "until": "2099-12-31",
    "from": "0",
}
"""Of parameters and members, by their names."""
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    parameters: dict[str, str] = field(default_factory=dict)
    """Of the query, with good values."""
    kind: str = ""
    """The media type of the body, if there is one."""
    members: dict[str, Any] = field(default_factory=dict)
    """Of the body."""
    is_file: bool = False

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.parameters)}" if self.parameters else self.path


@cache
def every_endpoint() -> tuple[Endpoint, ...]:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # no .env is read
        app = create_app(load_settings(secret_key="s" * 43, openai_base_url="http://127.0.0.1:9/v1"))
    return tuple(_found_in(app))


def _found_in(app: FastAPI) -> Iterator[Endpoint]:
    operations = described(app)["paths"]
    for route in iter_route_contexts(app.routes):
        path = str(route.path)
        for method in sorted(route.methods or ()):
            operation = operations.get(path.replace(":path", ""), {}).get(method.lower(), {})
            yield _endpoint(method, path, operation)
        if isinstance(route.original_route, Mount) and isinstance(route.original_route.app, StaticFiles):
            yield from _files(path, route.original_route.app)


def _endpoint(method: str, path: str, operation: dict[str, Any]) -> Endpoint:
    declared = [one for one in operation.get("parameters", []) if one["in"] == "query"]
    parameters = {one["name"]: str(_example(one["name"], one["schema"])) for one in declared}
    contents: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    kind = next(iter(contents), "")
    schema: dict[str, Any] = contents[kind]["schema"] if kind else {}
    names = schema.get("required", []) if kind == FORM else schema.get("properties", {})
    members = BODIES.get(path) or {name: _example(name, schema["properties"][name]) for name in names}
    filled = re.sub(r"{(\w+)(:path)?}", lambda found: str(EXAMPLES.get(found[1], "x")), path)
    return Endpoint(method, filled.replace("entries/0/000", "entries/000"), parameters, kind, members)


def _example(name: str, schema: dict[str, Any]) -> Any:
    of_type = {"boolean": False, "integer": int(schema.get("minimum", 1)), "array": [], "null": None}
    if name in EXAMPLES:
        return EXAMPLES[name]
    if "anyOf" in schema:
        return _example(name, schema["anyOf"][0])
    return schema["enum"][0] if "enum" in schema else of_type.get(schema.get("type", ""), "x")


def _files(path: str, files: StaticFiles) -> Iterator[Endpoint]:
    folder = Path(str(files.directory))
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield Endpoint("GET", f"{path}/{file.relative_to(folder)}", is_file=True)
