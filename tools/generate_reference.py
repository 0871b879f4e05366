"""Writes the pages of docs/reference/ that come from the code: settings, commands, errors, metrics, the OpenAPI description.

`make docs-reference` writes them; with --check nothing is written, and the exit status is 1 if a page is out of date.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import app
from app.api.description import described
from app.api.error_bodies import body_of, status_of
from app.cli.main import COMMANDS, load_command
from app.cli.main import app as command_line
from app.errors import AppError, InsufficientScope, InvalidParameter, ModelNotFound, Overloaded, UpstreamError
from app.main import create_app
from app.security.oauth_errors import ClientRefused
from app.security.token_errors import TokenError
from app.settings import Settings
from app.telemetry.metrics.catalogue import GROUPS, PREFIX
from tests.support.fault_catalogue import table

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by tools/generate_reference.py: change the code, then run make docs-reference. -->"
NOT_IMPORTED = ("app.__main__", "app.upstream.langchain", "app.security.clients.migrations.env")
"""Skipped: they define no errors, and their import is slow or has effects."""
BOUNDS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))
LENGTHS = (("min_length", "at least"), ("max_length", "at most"))
NOT_SERVED = "—"
WITH_A_TOKEN = (TokenError, InsufficientScope, ModelNotFound, Overloaded, UpstreamError)
"""Errors of bearer tokens, which never occur at /token."""


def main(arguments: list[str]) -> int:
    pages = {"settings.md": settings_page(), "cli.md": cli_page(), "errors.md": errors_page()}
    pages |= {"policy.md": policy_page(), "openapi.json": openapi_page(), "metrics.md": metrics_page()}
    stale = [name for name, text in pages.items() if not (PAGES / name).exists() or (PAGES / name).read_text() != text]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run make docs-reference")
        return 1 if stale else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (PAGES / name).write_text(pages[name])
        print(f"docs/reference/{name} written")
    return 0


def openapi_page() -> str:
    """As `/openapi.json` serves it, with default settings."""
    settings = Settings(secret_key="-" * 32, _env_file=None)
    return json.dumps(described(create_app(settings)), indent=1, ensure_ascii=False) + "\n"


# --- settings ------------------------------------------------------------------------------------


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        NOTICE,
        "",
        "Settings are environment variables. A file named `.env` in the folder you start in may hold them too; the environment",
        "wins where both name one. Relative paths are relative to that folder. A value that cannot be used stops the start with",
        "a sentence that names the setting. `python -m app init` writes a `.env` with a fresh `SECRET_KEY`.",
    ]
    for title, entries in example_sections((ROOT / ".env.example").read_text()):
        lines += ["", f"## {title}"]
        for name, comment in entries:
            lines += ["", f"### {name}", "", comment, "", *facts(name)]
    return "\n".join(lines) + "\n"


def example_sections(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The headings of .env.example, each with its settings and the comment above them."""
    _, *sections = re.split(r"^# --- (.*)\n", text, flags=re.MULTILINE)
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        entries: list[tuple[str, str]] = []
        comment: list[str] = []
        shared = ""
        for line in body.splitlines():
            if line.startswith("# "):
                comment.append(line[2:])
            elif "=" in line:
                shared = " ".join(comment) or shared  # several settings may share one comment
                entries.append((line.partition("=")[0], shared))
                comment = []
        yield title, entries


def facts(name: str) -> list[str]:
    field = Settings.model_fields[name.lower()]
    default = "none: it must be set" if field.is_required() else shown(field.default)
    found = [f"- Default: {default}"]
    if values := getattr(field.annotation, "__args__", None):
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            found.append("- Values: " + ", ".join(f"`{value}`" for value in texts))
    bounds = {mark: getattr(one, mark) for one in field.metadata for mark, _ in (*BOUNDS, *LENGTHS) if hasattr(one, mark)}
    limits = [f"{words} {bounds[mark]:,}" for mark, words in BOUNDS if mark in bounds]
    lengths = [f"{words} {bounds[mark]:,}" for mark, words in LENGTHS if mark in bounds]
    if limits:
        found.append("- Range: " + ", ".join(limits).replace("0.0002777777777777778", "1/3600 (one second)"))
    if lengths:
        found.append("- Length: " + ", ".join(lengths) + " characters")
    return found


def shown(value: Any) -> str:
    if value is None or value in ("", ()):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`./{value}`" if isinstance(value, Path) else f"`{value}`"


# --- metrics -------------------------------------------------------------------------------------


def metrics_page() -> str:
    lines = ["# Metrics", "", NOTICE, "", "What `/metrics` shows on the port of `METRICS_PORT`. How to use it: "]
    lines[-1] += "[Watch it with Prometheus and Grafana](../how-to/metrics.md)."
    for title, metrics in GROUPS.items():
        lines += ["", f"## {title}", "", "| name | kind | labels | meaning |", "| --- | --- | --- | --- |"]
        for one in metrics:
            labels = ", ".join(f"`{label}`" for label in one.labels) or "none"
            lines.append(f"| `{PREFIX}{one.name}` | {one.kind} | {labels} | {one.help} |")
    return "\n".join(lines) + "\n"


# --- the policy file -----------------------------------------------------------------------------


def policy_page() -> str:
    """policy.example.toml, by its headings."""
    text = (ROOT / "policy.example.toml").read_text()
    first, *sections = re.split(r"^# --- (.*)\n", text, flags=re.MULTILINE)
    lines = ["# Policy file", "", NOTICE, "", "The file that `POLICY_FILE` names, in TOML. How to write one: "]
    lines[-1] += "[Write a policy](../how-to/write-a-policy.md)."
    lines += ["", "```toml", first.strip(), "```"]
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        title, _, begun = heading.partition(": ")
        prose, _, tables = body.partition("\n\n")
        said = " ".join([begun, *(line.removeprefix("# ") for line in prose.splitlines())]).strip()
        lines += ["", f"## {title}", "", said[:1].upper() + said[1:], "", "```toml", tables.strip(), "```"]
    return "\n".join(lines) + "\n"


# --- commands ------------------------------------------------------------------------------------


def cli_page() -> str:
    lines = [
        "# Commands",
        "",
        NOTICE,
        "",
        "Run a command with `python -m app` from the folder that holds `.env`. With `--json`, stdout holds one JSON document and",
        "everything else goes to stderr. Exit status: 0 success, 1 a verification that failed or an output that was closed,",
        '2 an error, with one sentence on stderr (with `--json` also `{"error", "detail"}` on stdout), 130 interrupted.',
    ]
    top: Any = typer.main.get_command(command_line)
    top.commands = {name: load_command(name) for name in COMMANDS}
    for path, command in walk("python -m app", top):
        lines += ["", f"## {path.removeprefix('python -m ')}", "", *command_lines(path, command)]
    return "\n".join(lines) + "\n"


def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(f"{path} {name}", child)


def command_lines(path: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if not one.opts[0].startswith("-")]
    options = [one for one in command.params if one.opts[0].startswith("-") and not one.hidden]
    words = [path, *(["COMMAND"] if getattr(command, "commands", None) else []), *(one.name.upper() for one in arguments)]
    yield "```text"
    yield " ".join([*words, *(["[OPTIONS]"] if options else [])])
    yield "```"
    if command.help:
        yield ""
        yield " ".join(command.help.split())
    if arguments or options:
        yield ""
        yield "| | meaning | default |"
        yield "| --- | --- | --- |"
    for one in arguments:
        yield f"| `{one.name.upper()}` | {cell(one.help)} | required |"
    for one in options:
        names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
        yield f"| {names} | {cell(meaning(one))} | {default_of(one)} |"


def meaning(option: Any) -> str:
    parts = [option.help or ""]
    low, high = getattr(option, "min", None), getattr(option, "max", None)
    if low is not None and high is not None:
        parts.append(f"{low:,} to {high:,}.")
    if option.envvar:
        parts.append(f"Environment variable: `{option.envvar}`.")
    return " ".join(part for part in parts if part)


def default_of(option: Any) -> str:
    if option.required:
        return "required"
    return "" if option.default in (None, False, "", []) else f"`{option.default}`"


def cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


# --- errors --------------------------------------------------------------------------------------


def errors_page() -> str:
    lines = [
        "# Errors",
        "",
        NOTICE,
        "",
        "A body carries a stable code for programs and a sentence for people. The sentence may change, the code does not.",
        "Which body you get depends on the endpoint:",
        "",
        "- `/ask`, `/audit` and everything else: `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail`,",
        "  `code` and `request_id`.",
        '- `/v1`: OpenAI\'s `{"error": {"message", "type", "param", "code"}}`.',
        '- `/v1/messages`: Anthropic\'s `{"type": "error", "error": {"type", "message", "details"}, "request_id"}`. The column',
        "  shows the `type`. `details.error_code` is the code; for a member that is wrong there are `param` and `reason`, too.",
        '- `/token`: OAuth\'s `{"error", "error_description"}` (RFC 6749, section 5.2).',
        "",
        "The record of a refusal holds the first column. A body has the same code, unless a column shows another: why a token",
        "was refused is in the record only. The numbers are HTTP statuses. A dash means that these endpoints never give this",
        "error; one with three dashes comes only from the command line, or at the start. Some errors have no code on `/v1`:",
        "the column shows their `type`, `invalid_request_error`.",
        "",
        "| code in the record | `/ask`, `/audit` | `/v1` | `/v1/messages` | `/token` | sentence |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = sorted({row_of(one) for one in error_classes() if one is not InvalidParameter})  # its code varies
    return "\n".join([*lines, *rows, "", HEADERS, "", FAULTS, "", *table()]) + "\n"


FAULTS = """## When the model's server fails

Each row is a test (`tests/service/test_fault_catalogue.py`): a question at `/v1/chat/completions`, with a timeout of 2 s and
one retry allowed (`[retries] most = 1`; the default is 2). `calls` is how often the server was asked. Nothing is asked twice that
may have generated an answer. A `Retry-After` that ends after the deadline is passed on, up to 120 s."""


HEADERS = """## Headers that belong to an error

| header | when |
| --- | --- |
| `WWW-Authenticate` | 401 and 403 (RFC 6750), with `resource_metadata` in a 401 (RFC 9728); Basic at `/token` |
| `Retry-After`, `retry-after-ms` | where waiting helps: how long |
| `x-should-retry: false` | where an SDK's immediate retry cannot help |
| `Allow` | 405 |
| `Accept-Encoding` | 415 because of a coding: those that are taken |
| `Connection: close` | the caller may still be sending a body that nobody will read |

An error on a stream whose answer has begun arrives as the last event instead of the end marker, with the same document.
A question refused by the upstream server (`upstream_refused`) keeps the upstream's status on `/v1` if it is 400, 404, 409, 413
or 422; any other refusal (405, 410, 415, 424, 451, …) is 400 there. Its `code` (or `type`, where `code` is a number or
missing) and `param` are kept where they are plain words. `context_length_exceeded` and `upstream_out_of_quota` are recognised by
the words of the upstream's error, whatever its status. An invalid parameter of a `/v1` body carries OpenAI's word for what is
wrong, such as `unsupported_parameter`, and the parameter's name in `param` and at the
beginning of `message`."""


def error_classes() -> list[type[AppError]]:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name not in NOT_IMPORTED:
            importlib.import_module(module.name)
    found: list[type[AppError]] = []
    waiting: list[type[AppError]] = [AppError]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += one.__subclasses__()
    return [one for one in found if not one.__module__.startswith("app.cli")]


def row_of(kind: type[AppError]) -> str:
    error = kind.__new__(kind)
    AppError.__init__(error, kind.detail)
    for name, value in (("param", "name"), ("reason", None), ("status", 400)):
        if any(name in getattr(one.__init__, "__annotations__", {}) for one in kind.__mro__):
            setattr(error, name, value)
    columns = [
        answer(style, error) if is_served(style, kind) else NOT_SERVED for style in ("problem", "openai", "anthropic", "oauth")
    ]
    return f"| `{kind.code}` | {' | '.join(columns)} | {cell(sentence(error))} |"


def sentence(error: AppError) -> str:
    """The sentence in an error body."""
    style = next((one for one in ("problem", "openai", "oauth") if is_served(one, type(error))), None)
    if style is None:
        return error.detail
    body = body_of(style, error, status_of(style, error), "0" * 32)
    return str(body["error"]["message"] if style == "openai" else body.get("detail") or body["error_description"])


def is_served(style: str, kind: type[AppError]) -> bool:
    if kind.code in ("config_invalid", "verification_failed"):
        return False
    if issubclass(kind, ClientRefused):
        return style == "oauth"
    return style != "oauth" or not issubclass(kind, WITH_A_TOKEN)


def answer(style: Any, error: AppError) -> str:
    status = status_of(style, error)
    body = body_of(style, error, status, "0" * 32)
    code = {"problem": body.get("code"), "oauth": body.get("error")}.get(style)
    if style == "openai":
        code = body["error"]["code"] or body["error"]["type"]
    elif style == "anthropic":
        code = body["error"]["type"]
    return str(status) if code == error.code else f"{status} `{code}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
