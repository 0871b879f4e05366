"""The list of commands, and how every command ends.

Exit status 0: done. 1: a check found a problem.
2: refused, with one sentence on stderr. With --json, stdout holds one JSON document and everything
else goes to stderr.
"""

from __future__ import annotations

import io
import json
import os
import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from .. import __version__
from ..errors import AppError
from ..kit.command import PROGRAM
from ..kit.process import keep_memory_private
from .usage import usage_sentence

COMMANDS = {
    "init": "Set up the current folder: .env with a fresh secret, client database, audit log.",
    "serve": "Run the service until SIGTERM or Ctrl-C; requests in progress are finished.",
    "ask": "Ask a running service one question. The answer goes to stdout, its receipt to stderr.",
    "demo": "Show everything once, from the first question to the tampering that is found.",
    "clients": "Register the programs and people who may get access tokens.",
    "keys": "API keys: they last, and work wherever an access token does.",
    "token": "Get access tokens, keep one fresh for other programs, or revoke one.",
    "breaker": "Servers that failed again and again, and are not asked for a moment.",
    "audit": "Read and verify the audit log.",
    "budget": "What the budgets have spent, recomputed from the log by anyone.",
    "doctor": "Look at everything that the service needs here, and say what to do.",
    "policy": "Check a policy file: what is wrong in it, and who may use what, how much.",
}
"""Each command with the sentence that lists show. It is declared in the module of its name."""


@cache
def load_command(name: str) -> Any:
    """The command *name*. Its module is imported only now, so no command waits for another's."""
    loaded: Any = get_command(getattr(import_module(f".{name}", __package__), name))
    loaded.help = f"{COMMANDS[name]}\n\n{loaded.help or ''}".rstrip()
    return loaded


class CommandList(TyperGroup):
    """Lists all commands, and loads the one that is used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {name: TyperCommand(name, help=sentence) for name, sentence in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(str(name)), rest


app = typer.Typer(
    cls=CommandList,
    help="An OpenAI-compatible gateway with client tokens, rate limits and an audit log that shows tampering.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


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
