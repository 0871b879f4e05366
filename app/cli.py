"""The command line: one thin function a command. With --json, stdout holds one JSON document and all else goes to stderr."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from .audit_commands import audit
from .errors import AppError
from .terminal import Json, say

T = TypeVar("T")
app = typer.Typer(
    help="Secure AI Assistant: nothing is asked of a model, or answered, before it is durably written down.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
clients = typer.Typer(help="Who may have tokens.", no_args_is_help=True)
token = typer.Typer(help="Access tokens.", invoke_without_command=True)
app.add_typer(clients, name="clients")
app.add_typer(token, name="token")
app.add_typer(audit, name="audit")

Url = Annotated[str, typer.Option(help="Where the service is.", envvar="SECURE_AI_URL")]
LOCAL_URL = "http://127.0.0.1:8000"


def main() -> None:
    """Entry of `python -m app`. Our errors end it with one sentence on stderr and status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in sys.argv
    try:
        sys.exit(app(standalone_mode=False))
    except AppError as error:
        end(error.code, error.detail, as_json)
    except typer.TyperException as error:
        end("usage", error.format_message(), as_json)
    except UnicodeEncodeError:
        end("usage", "An argument holds bytes that are not UTF-8.", as_json)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        end("io", f"{error.filename or 'The output'} cannot be used: {error.strerror}.", as_json)


def end(code: str, detail: str, as_json: bool) -> NoReturn:
    """One sentence on stderr, with --json one document on stdout, and status 2."""
    if as_json:
        print(json.dumps({"error": code, "detail": detail}))
    print(detail, file=sys.stderr)
    sys.exit(2)


@app.command()
def init(
    new_log: Annotated[bool, typer.Option(help="Set the present audit log aside and begin another.")] = False,
    as_json: Json = False,
) -> None:
    """Make what is missing: .env with a fresh secret, the database, the audit log. Safe to repeat."""
    from .birth import initialise

    settings, born = initialise(new_log=new_log)
    made = {
        "env_file": str(born.env_file) if born.env_file else None,
        "database": str(born.database) if born.database else None,
        "audit_log": str(settings.audit_log_path) if born.opened else None,
        "log_key": str(born.log_key) if born.log_key else None,
    }
    lines = [f"made {what.replace('_', ' ')}: {where}" for what, where in made.items() if where] or ["nothing was missing"]
    say(
        {**made, "receipt": f"{born.opened.seq}:{born.opened.hash}" if born.opened else None},
        as_json,
        "\n".join([*lines, "next: python -m app clients add NAME --role ai.playground.user, then python -m app serve"]),
    )


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; limits and log are shared.")] = 1,
    as_json: Json = False,
) -> None:
    """Serve until SIGTERM; what is in flight is finished. With --json, the address goes to stdout once it is open."""
    # A fresh interpreter: the parent of all workers should not carry what this command line has imported.
    sys.stdout.flush()
    options = ["--json"] if as_json else []
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "65536")  # glibc would keep the room of every large answer for good
    os.execv(sys.executable, [sys.executable, "-m", "app.server", host, str(port), str(workers), *options])  # noqa: S606


@app.command()
def ask(
    query: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    access_token: Annotated[str, typer.Option("--token", envvar="SECURE_AI_TOKEN", help="From `token`.", show_envvar=True)],
    url: Url = LOCAL_URL,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer as it comes.")] = False,
    as_json: Json = False,
) -> None:
    """Ask one question of a running service."""
    from . import client
    from .audit_reading import printable

    asked = sys.stdin.read() if query == "-" else query
    if stream and not as_json:
        done: dict[str, Any] = {}
        for name, data in client.stream(url, access_token, asked):
            if name == "delta":
                print("\n".join(printable(line) for line in data["text"].split("\n")), end="", flush=True)
            done = data
        print()
        print(f"receipt {done['receipt']['seq']}:{done['receipt']['hash']}", file=sys.stderr)
        return
    answer = client.ask(url, access_token, asked)
    receipt = f"{answer['receipt']['seq']}:{answer['receipt']['hash']}"
    if not as_json:
        print(f"receipt {receipt}", file=sys.stderr)
    say(answer, as_json, "\n".join(printable(line) for line in answer["answer"].split("\n")))


@app.command()
def demo(as_json: Json = False) -> None:
    """The whole road once, with a live server in a folder of its own: it ends by itself and leaves nothing running."""
    from .demo import run

    sys.exit(run(as_json))


# --- clients -----------------------------------------------------------------------------------------


@clients.command("add")
def clients_add(
    client_id: Annotated[str, typer.Argument(help="3 to 32 characters of A-Z a-z 0-9 _ -")],
    role: Annotated[list[str], typer.Option(help="May be repeated: ai.playground.user, ai.audit.reader")],
    as_json: Json = False,
) -> None:
    """Register a client. Its secret is shown once, here."""
    from . import operator_tasks

    secret, roles = _run(operator_tasks.add_client(client_id, role))
    document = {"client_id": client_id, "client_secret": secret, "roles": roles}
    say(
        document,
        as_json,
        f"client_id      {client_id}\nclient_secret  {secret}   (shown only now)\nroles          {' '.join(roles)}",
    )


@clients.command("list")
def clients_list(as_json: Json = False) -> None:
    """All clients; no secrets."""
    from . import operator_tasks

    found = _run(operator_tasks.list_clients())
    rows = [
        {
            "client_id": one.client_id,
            "roles": list(one.roles),
            "disabled": one.disabled,
            "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
        }
        for one in found
    ]
    text = "\n".join(
        f"{one.client_id:<32}  {'disabled' if one.disabled else 'active':<8}  {row['created_at']}  {' '.join(one.roles)}"
        for one, row in zip(found, rows, strict=True)
    )
    say(rows, as_json, text or "no clients yet: python -m app clients add NAME --role ai.playground.user")


@clients.command("disable")
def clients_disable(client_id: str, as_json: Json = False) -> None:
    """Refuse a client and all its tokens, within a second."""
    from . import operator_tasks

    _run(operator_tasks.disable_client(client_id))
    say({"client_id": client_id, "disabled": True}, as_json, f"{client_id} is disabled")


@clients.command("rotate")
def clients_rotate(client_id: str, as_json: Json = False) -> None:
    """Give a client another secret; the old one is dead at once."""
    from . import operator_tasks

    secret = _run(operator_tasks.rotate_client(client_id))
    say(
        {"client_id": client_id, "client_secret": secret},
        as_json,
        f"client_id      {client_id}\nclient_secret  {secret}   (shown only now)",
    )


# --- token -------------------------------------------------------------------------------------------


@token.callback()
def token_get(
    context: typer.Context,
    client_id: Annotated[str, typer.Option(envvar="SECURE_AI_CLIENT_ID")] = "",
    client_secret: Annotated[str, typer.Option(envvar="SECURE_AI_CLIENT_SECRET", help="Better in the environment.")] = "",
    scope: Annotated[str, typer.Option(help="Roles, separated by spaces; all if left out.")] = "",
    url: Url = LOCAL_URL,
    as_json: Json = False,
) -> None:
    """Fetch an access token from a running service; `token revoke JTI` takes one back."""
    if context.invoked_subcommand:
        return
    from . import client

    if not client_id or not client_secret:
        raise typer.BadParameter("--client-id and --client-secret (or SECURE_AI_CLIENT_ID, SECURE_AI_CLIENT_SECRET)")
    document = client.fetch_token(url, client_id, client_secret, scope or None)
    say(document, as_json, document["access_token"])


@token.command("revoke")
def token_revoke(jti: Annotated[str, typer.Argument(help="The token's jti: 32 hex digits.")], as_json: Json = False) -> None:
    """Refuse one token, within a second."""
    from . import operator_tasks

    _run(operator_tasks.revoke_token(jti))
    say({"jti": jti, "revoked": True}, as_json, f"{jti} is revoked")


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(work)
