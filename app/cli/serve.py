"""`serve`: become the parent of the worker processes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ..kit.allocator import allocator_settings, find_jemalloc
from ..kit.command import NAME_VARIABLE, called_by
from ..kit.environment import setting
from ..kit.json_lines import SETTING as FORM
from .output import Json

serve = typer.Typer(add_completion=False)


@serve.command()
def serve_here(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes. They share rate limits and log.")] = 1,
    as_json: Json = False,
) -> None:
    """With --json, its address is printed on stdout once all workers are ready."""
    sys.stdout.flush()
    json_option = ["--json"] if as_json else []
    os.environ |= allocator_settings(os.environ, find_jemalloc())
    if form := setting(FORM):  # so that it holds from the first line on
        os.environ[FORM] = form
    os.environ[NAME_VARIABLE] = called_by()  # for the commands that its messages name
    # A fresh interpreter: the parent of all workers does not keep what this command has imported.
    os.execv(sys.executable, [sys.executable, "-m", "app.serving.parent", host, str(port), str(workers), *json_option])  # noqa: S606
