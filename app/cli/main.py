"""The commands `init`, `serve`, `ask` and `demo`, and how every command ends.

Exit status 0: done. 1: `audit verify`, `audit verify-receipt` or `demo` found a problem.
2: refused, with one sentence on stderr. With --json, stdout holds one JSON document and everything
else goes to stderr.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from .. import __version__
from ..errors import AppError
from ..kit.allocator import allocator_settings, find_jemalloc
from ..kit.command import NAME_VARIABLE, PROGRAM, called_by, command
from ..kit.process import keep_memory_private
from ..security.roles import ADD_CLIENT
from .audit import audit
from .clients import clients
from .keys import keys
from .output import LOCAL_URL, Json, Url, cut_notice, printable_lines, receipt_name, say
from .token import token
from .usage import usage_sentence

app = typer.Typer(
    help="An OpenAI-compatible gateway with client tokens, rate limits and an audit log that shows tampering.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(clients, name="clients")
app.add_typer(keys, name="keys")
app.add_typer(token, name="token")
app.add_typer(audit, name="audit")


def main() -> None:
    """Run `python -m app`. An error of ours ends it with one sentence on stderr and status 2."""
    keep_memory_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    as_json = "--json" in sys.argv
    try:
        sys.exit(app(standalone_mode=False))
    except AppError as error:
        end(error.code, error.detail, as_json)
    except typer.TyperException as error:
        end("usage", usage_sentence(error), as_json)
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
    if as_json:
        print(json.dumps({"error": code, "detail": detail}))
    print(detail, file=sys.stderr)
    sys.exit(2)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    new_log: Annotated[
        bool, typer.Option(help="Retire the present audit log and begin a new one. Stop the service first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Set up the current folder: .env with a fresh secret, client database, audit log.

    Safe to repeat: what is there is kept.
    """
    from ..admin.setup import set_up  # late: start-up

    done = set_up(new_log=new_log)
    paths = {"env_file": done.env_file, "database": done.database, "audit_log": done.audit_log, "log_key": done.log_key}
    made = {name: str(path) if path else None for name, path in paths.items()}
    lines = [f"made {name.replace('_', ' ')}: {path}" for name, path in made.items() if path]
    if done.secret_filled_into:
        lines.insert(0, f"wrote a fresh SECRET_KEY into {done.secret_filled_into}")
    steps = [command("serve")] if done.has_clients else [command(ADD_CLIENT), command("serve")]
    lines = [*(lines or ["nothing was missing"]), "next:", *(f"  {step}" for step in steps)]
    receipt = receipt_name(done.first_record.seq, done.first_record.hash) if done.first_record else None
    filled = str(done.secret_filled_into) if done.secret_filled_into else None
    say({**made, "secret_filled_into": filled, "receipt": receipt}, as_json, "\n".join(lines))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes. They share rate limits and log.")] = 1,
    as_json: Json = False,
) -> None:
    """Run the service until SIGTERM or Ctrl-C; requests in progress are finished.

    With --json, its address is printed on stdout once all workers are ready.
    """
    sys.stdout.flush()
    json_option = ["--json"] if as_json else []
    os.environ |= allocator_settings(os.environ, find_jemalloc())
    os.environ[NAME_VARIABLE] = called_by()  # for the commands that its messages name
    # A fresh interpreter: the parent of all workers does not keep what this command has imported.
    os.execv(sys.executable, [sys.executable, "-m", "app.serving.parent", host, str(port), str(workers), *json_option])  # noqa: S606


@app.command()
def ask(
    query: Annotated[str, typer.Argument(help="The question. - reads it from standard input.")],
    access_token: Annotated[
        str,
        typer.Option(
            "--token", envvar="SECURE_AI_TOKEN", help="An API key, or an access token (`token` prints one).", show_envvar=True
        ),
    ],
    url: Url = LOCAL_URL,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer while it is written.")] = False,
    as_json: Json = False,
) -> None:
    """Ask a running service one question. The answer goes to stdout, its receipt to stderr."""
    from . import http_client  # late: start-up

    question = sys.stdin.read() if query == "-" else query
    if stream and not as_json:
        answer: dict[str, Any] = {}
        for name, answer in http_client.stream(url, access_token, question):
            if name == "delta":
                print(printable_lines(answer["text"]), end="", flush=True)
        print()
    else:
        answer = http_client.ask(url, access_token, question)
        say(answer, as_json, printable_lines(answer["answer"]))
    if not as_json:
        if notice := cut_notice(answer.get("finish_reason")):
            print(notice, file=sys.stderr)
        print(f"receipt {receipt_name(answer['receipt']['seq'], answer['receipt']['hash'])}", file=sys.stderr)


@app.command()
def demo(as_json: Json = False) -> None:
    """Show everything once, from the first question to the tampering that is found.

    Runs a real server in a temporary folder and leaves nothing behind.
    """
    from .demo import run  # late: start-up

    sys.exit(run(as_json))
