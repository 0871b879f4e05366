"""How this program is called, so that a command that a message names runs as printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = "secure-ai-assistant"
"""The console script that an installation makes."""
MODULE = "python -m app"
NAME_VARIABLE = "SECURE_AI_COMMAND"
"""How it is called from outside of a container; `serve` also hands its own name on in it."""
SERVE_VARIABLE = "SECURE_AI_SERVE_COMMAND"
"""What starts the service from outside of a container."""


def command(words: str) -> str:
    """What to type for the command *words*, such as `.venv/bin/python -m app clients list`."""
    if words == "serve" and (serve := os.environ.get(SERVE_VARIABLE)):
        return serve
    return f"{called_by()} {words}"


def called_by() -> str:
    """The name that this program was called by."""
    return os.environ.get(NAME_VARIABLE) or _name_in(sys.orig_argv)


def as_documented(text: str) -> str:
    """*text* for a reader elsewhere: its commands as the documents write them, without a path."""
    return text.replace(f"{called_by()} ", f"{MODULE} ")


def _name_in(argv: list[str]) -> str:
    """From *argv* of the interpreter: `python -m app …` or `python /path/secure-ai-assistant …`."""
    if "-m" in argv[:-1]:
        end = argv.index("-m") + 2
        return shlex.join(argv[:end]) if argv[end - 1] == "app" else MODULE
    script = next((Path(word) for word in argv[1:] if Path(word).name == PROGRAM), None)
    if script is None:
        return MODULE
    on_path = shutil.which(PROGRAM)
    is_on_path = on_path is not None and script.exists() and Path(on_path).samefile(script)
    return PROGRAM if is_on_path else shlex.quote(str(script))
