"""The command line: one thin function a command. With --json, stdout holds one JSON document and all else goes to stderr."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from ..errors import AppError
from .audit import audit
from .clients import clients, token
from .output import LOCAL_URL, Json, Url, say

app = typer.Typer(
    help="Secure AI Assistant: nothing is asked of a model, or answered, before it is durably written down.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(clients, name="clients")
app.add_typer(token, name="token")
app.add_typer(audit, name="audit")


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
    from ..admin.setup import initialise

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
    os.execv(sys.executable, [sys.executable, "-m", "app.serving.parent", host, str(port), str(workers), *options])  # noqa: S606


@app.command()
def ask(
    query: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    access_token: Annotated[str, typer.Option("--token", envvar="SECURE_AI_TOKEN", help="From `token`.", show_envvar=True)],
    url: Url = LOCAL_URL,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer as it comes.")] = False,
    as_json: Json = False,
) -> None:
    """Ask one question of a running service."""
    from . import http_client as client
    from .output import printable

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


# --- token -------------------------------------------------------------------------------------------
