"""What all commands share: the options --json and --url, and how records and texts are printed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Url = Annotated[
    str, typer.Option(envvar="SECURE_AI_URL", help="The address of the service, such as http://127.0.0.1:8000, without a path.")
]
LOCAL_URL = "http://127.0.0.1:8000"
MAX_SUMMARY_CHARS = 100
ELLIPSIS = "…"
COLUMNS = (6, 27, 16, 12, 8, 0)
"""The widths of a record's columns; the last one is as long as its text."""


def say(document: Any, as_json: bool, text: str) -> None:
    """Print *document* as one line of JSON, or *text* for people."""
    print(json.dumps(document) if as_json else text)


def service_at(url: str) -> str:
    """The address of the service; an OpenAI client's base URL, with its /v1, is understood too."""
    return url.rstrip("/").removesuffix("/v1")


def unusable_in(answer: Mapping[str, Any]) -> str | None:
    """The first member of a token response that is missing, or is not what RFC 6749 says."""
    lifetime = answer.get("expires_in")
    if not _matches(r"[!-~]+", answer.get("access_token")):
        return "access_token"
    if type(lifetime) is not int or not 0 < lifetime < 2**31:
        return "expires_in"
    return None if _matches(r"[ -~]*", answer.get("scope")) else "scope"


def _matches(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def receipt_name(seq: int, digest: str) -> str:
    """SEQ:HASH, as `audit verify --receipt` takes it."""
    return f"{seq}:{digest}"


def cut_notice(finish_reason: object) -> str | None:
    """What to say of an answer that did not end by itself; None for one that did."""
    if finish_reason is None or finish_reason == "stop":
        return None
    if finish_reason == "length":
        return "The answer is cut off: it reached the longest length that is allowed (LLM_MAX_TOKENS)."
    return f"The answer is cut off: {printable(str(finish_reason))}."


def header() -> str:
    """The names of the columns of `one_line`."""
    names = ("seq", "time (UTC)", "action", "user", "request", "text")
    return _row([names[0].rjust(COLUMNS[0]), *names[1:]])


def one_line(record: dict[str, Any]) -> str:
    """A record as one printable line: its columns, then the beginning of its text."""
    details = record.get("details")
    if not isinstance(details, dict):
        return printable(str(record))
    texts = (details.get(name) for name in ("query", "answer", "code", "client_id", "jti"))
    summary = str(next((text for text in texts if text), "")) or _asked(details.get("messages"))
    columns = [
        f"{record.get('seq')!s:>{COLUMNS[0]}}",
        str(record.get("timestamp")),
        str(record.get("action")),
        str(record.get("user_id") or "-"),
        str(record.get("request_id"))[: COLUMNS[4]],
        shortened(summary, MAX_SUMMARY_CHARS),
    ]
    return printable(_row(columns))


def _asked(messages: Any) -> str:
    """The text of the last message at /v1, joined from its parts; *messages* may be a text."""
    last = messages[-1] if isinstance(messages, list) and messages else messages
    content = last.get("content") if isinstance(last, dict) else last
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return " ".join(text for text in texts if isinstance(text, str))


def shortened(text: str, limit: int) -> str:
    """*text*, or its beginning and an ellipsis, in *limit* characters."""
    return text if len(text) <= limit else text[: limit - len(ELLIPSIS)] + ELLIPSIS


def printable(text: str) -> str:
    """*text* with control characters escaped, newlines too: it cannot control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def printable_lines(text: str) -> str:
    """`printable`, but newlines stay."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _row(columns: list[str]) -> str:
    return "  ".join(column.ljust(width) for column, width in zip(columns, COLUMNS, strict=True)).rstrip()
