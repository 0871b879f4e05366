"""`ask`: one question to a running service."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from . import http_client
from .output import LOCAL_URL, Json, Url, cut_notice, printable_lines, receipt_name, say

ask = typer.Typer(add_completion=False)


@ask.command()
def ask_service(
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
